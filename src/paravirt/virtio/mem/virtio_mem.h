#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "memory/guest_memory.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/mem.h"

namespace mynah {

// Memory that is plugged in and out in blocks [virtio-1.2 5.15]: the operator says how much there
// should be, the driver plugs and unplugs until it is so. Blocks that are not plugged use no memory
// of the host: what an unplugged block held is gone.
//
// All of the region is RAM to processors and devices, plugged or not, as it is offered without
// UNPLUGGED_INACCESSIBLE; a guest that writes to blocks it has not plugged costs the host that
// memory, at most the region's size, which the operator chose. Left out: NUMA nodes (ACPI_PXM).
class VirtioMem final : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 128;

    // block_size: a power of two of whole pages; region: memory's pluggable range, of whole blocks
    // and aligned to them (CHECKed). `requested` is cut to whole blocks and to the region.
    VirtioMem(GuestMemory& memory, const GuestMemory::Range& region, uint64_t block_size,
              uint64_t requested);

    uint32_t device_id() const override;
    uint64_t features() const override { return 0; }
    uint16_t queue_count() const override { return 1; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t, std::span<const std::byte>) override {}
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override EXCLUDES(mutex_);
    void reset() override {}  // what is plugged stays: it may be in use [virtio-1.2 5.15.5.2]
    void connect(VirtioDeviceEvents* events) override { events_ = events; }

    // --- the operator's side; any thread ---
    struct Sizes {
        uint64_t region, block, requested, plugged;  // bytes
        GuestPhys start;
    };
    Sizes sizes() const EXCLUDES(mutex_);
    // False, with nothing changed: not whole blocks, or more than the region.
    [[nodiscard]] bool request(uint64_t bytes) EXCLUDES(mutex_);
    // The machine was reset, and nobody uses the memory: nothing is plugged any more.
    void machine_reset() EXCLUDES(mutex_);

  private:
    using Request = virtio::mem::Request;
    using Response = virtio::mem::Response;
    using ResponseType = virtio::mem::ResponseType;
    struct Blocks {
        uint64_t first, count;
    };

    Response handle(const Request& request) REQUIRES(mutex_);
    // False: not blocks of the part that may be used.
    bool find(const Request& request, Blocks& blocks) const REQUIRES(mutex_);
    uint64_t plugged_among(const Blocks& blocks) const REQUIRES(mutex_);
    ResponseType plug(const Blocks& blocks) REQUIRES(mutex_);
    ResponseType unplug(const Blocks& blocks) REQUIRES(mutex_);
    ResponseType unplug_all() REQUIRES(mutex_);
    void choose_usable(bool may_shrink) REQUIRES(mutex_);

    GuestMemory& memory_;
    const GuestMemory::Range region_;
    const uint64_t block_size_;
    std::atomic<VirtioDeviceEvents*> events_{nullptr};
    mutable Mutex mutex_;
    std::vector<bool> plugged_ GUARDED_BY(mutex_);  // by block
    uint64_t plugged_size_ GUARDED_BY(mutex_) = 0;
    uint64_t requested_size_ GUARDED_BY(mutex_);
    uint64_t usable_size_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
