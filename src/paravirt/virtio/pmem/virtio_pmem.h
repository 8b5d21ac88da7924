#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>

#include "backend/block/block_backend.h"
#include "base/mutex.h"
#include "memory/address.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// Persistent memory [virtio-1.2 5.19]: a range of guest memory that is a file of the host. What the
// guest writes there is in the file at once as far as the host's other programs see, and survives
// the host's end when a flush is over. Flushes go to the file's BlockBackend, which does them where
// they keep no processor waiting.
class VirtioPmem final : public VirtioDevice, private BlockCompletion {
  public:
    static constexpr uint16_t kQueueSize = 128;

    // The range is the file's, mapped; the backend must outlive the device.
    VirtioPmem(GuestPhys start, uint64_t size, BlockBackend& file)
        : start_(start), size_(size), file_(file) {}
    // Waits until no flush is on its way.
    ~VirtioPmem() override;

    uint32_t device_id() const override;
    uint64_t features() const override { return 0; }
    uint16_t queue_count() const override { return 1; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override;
    void reset() override {}

  private:
    struct Flush;

    void begin(VirtioQueue& queue, DescriptorChain chain);
    void block_done(BlockRequest& request, BlockStatus status) override;
    static void answer(VirtioQueue& queue, DescriptorChain& chain, uint32_t result);

    const GuestPhys start_;
    const uint64_t size_;
    BlockBackend& file_;
    Mutex mutex_;
    std::condition_variable_any all_back_;
    size_t out_ GUARDED_BY(mutex_) = 0;  // flushes on their way; at most as many as chains
};

}  // namespace mynah
