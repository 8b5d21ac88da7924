#pragma once

#include <memory>
#include <string>
#include <vector>

#include "paravirt/vhost/vhost_device.h"

namespace mynah {

struct VhostUserGenericOptions {
    std::string path;   // of the back end's socket
    uint32_t type = 0;  // the virtio device type [virtio-1.2 5]
    uint16_t queues = 1;
    uint16_t queue_size = 256;  // a power of two
};

// A device of any type all of whose queues, features and configuration are another process's.
class VhostUserGeneric final : public VhostDevice {
  public:
    static constexpr uint16_t kMaxQueues = 64, kMaxQueueSize = 1024;

    // Error: names the option, the path and why.
    static Result<std::unique_ptr<VhostUserGeneric>> open(const VhostUserGenericOptions& options,
                                                          GuestMemory& memory);
    ~VhostUserGeneric() override { end(); }

    uint64_t features() const override;
    uint16_t queue_count() const override { return queues_; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t offset, std::span<const std::byte> from) override;

  private:
    VhostUserGeneric(std::unique_ptr<VhostLink> link, GuestMemory& memory,
                     const VhostUserGenericOptions& options);
    Result<void> load_config(VhostClient& client) override EXCLUDES(mutex_);

    const uint16_t queues_;
    mutable Mutex mutex_;
    std::vector<std::byte> config_ GUARDED_BY(mutex_);
};

}  // namespace mynah
