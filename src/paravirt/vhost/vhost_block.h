#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "paravirt/vhost/vhost_device.h"

namespace mynah {

struct VhostBlockOptions {
    std::string path;     // of the back end's socket
    uint16_t queues = 0;  // 0: as many as the back end has, at most one for each processor
    uint32_t processors = 1;
};

// A disk of another process, or of a vDPA device [virtio-1.2 5.2]. Its size and features are the
// back end's; a back end that takes over may have another size, which the driver is told.
class VhostBlock final : public VhostDevice {
  public:
    static constexpr uint16_t kQueueSize = 256, kMaxQueues = 64;

    // Error: names the option, the path and why.
    static Result<std::unique_ptr<VhostBlock>> open(const VhostBlockOptions& options,
                                                    GuestMemory& memory);
    // Behind a connection that is there, of whatever kind.
    static Result<std::unique_ptr<VhostBlock>> open(const VhostBlockOptions& options,
                                                    std::unique_ptr<VhostLink> link,
                                                    GuestMemory& memory);
    ~VhostBlock() override { end(); }

    uint64_t features() const override;
    uint64_t withheld_features() const override;
    uint16_t queue_count() const override { return queues_; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t offset, std::span<const std::byte> from) override EXCLUDES(mutex_);
    void reset() override EXCLUDES(mutex_);

  private:
    // The part of struct virtio_blk_config that every back end has: up to write_zeroes_may_unmap.
    static constexpr size_t kConfigSize = 60;
    using Config = std::array<std::byte, kConfigSize>;

    VhostBlock(std::unique_ptr<VhostLink> link, GuestMemory& memory, uint16_t queues,
               uint16_t queue_size);
    Result<void> load_config(VhostClient& client) override EXCLUDES(mutex_);
    Result<void> prepare(VhostClient& client) override EXCLUDES(mutex_);

    const uint16_t queues_;
    mutable Mutex mutex_;
    Config config_ GUARDED_BY(mutex_){};
    // The cache's mode as the back end has it unasked, and the one that each back end is told;
    // none: no driver has ever chosen.
    std::byte default_writeback_ GUARDED_BY(mutex_){};
    std::optional<std::byte> chosen_writeback_ GUARDED_BY(mutex_);
};

}  // namespace mynah
