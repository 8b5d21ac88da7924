#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "memory/guest_memory.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/balloon.h"

namespace mynah {

struct VirtioBalloonOptions {
    bool deflate_on_oom = false;       // the guest may take pages back when it runs out of memory
    bool free_page_reporting = false;  // the guest tells of its free pages all the time
};

// The memory balloon [virtio-1.2 5.5]: the guest hands in pages, and their memory goes back to the
// host at once (memory/discard.h). Pages given back to the guest read as zeroes and need nothing
// done.
//
// Modelled: inflating and deflating, statistics, deflating on out-of-memory, free page reporting,
// free page hinting, page poison: pages whose poison the driver cannot do without (any but zero)
// are not discarded when they are reported or hinted, since they would read as zeroes [virtio-1.2
// 5.5.6.7.2]. What a driver hands in is its own memory, so a lie harms itself only.
class VirtioBalloon final : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 128;

    // The memory must outlive the device. memory_bytes: what the machine has by name, of which the
    // balloon's size is taken off.
    VirtioBalloon(GuestMemory& memory, uint64_t memory_bytes, VirtioBalloonOptions options);

    uint32_t device_id() const override;
    uint64_t features() const override;
    uint16_t queue_count() const override;
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(lock_);
    void write_config(uint64_t offset, std::span<const std::byte> from) override EXCLUDES(lock_);
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    void reset() override EXCLUDES(lock_);
    void connect(VirtioDeviceEvents* events) override { events_ = events; }

    // --- for the operator; any thread ---
    // How much memory the guest is to keep, in bytes; the driver comes to it in its own time.
    void set_target(uint64_t bytes) EXCLUDES(lock_);
    // How much it has now.
    uint64_t actual() const EXCLUDES(lock_);
    // What the driver said last [virtio-1.2 5.5.6.3], in bytes or as a count; and asks it again,
    // for the next call. Nothing: it never said that.
    std::array<std::optional<uint64_t>, virtio::balloon::kStatistics> statistics()
        EXCLUDES(lock_, statistics_order_);
    // Asks for the pages that are free now; their memory goes back to the host.
    void ask_for_free_pages() EXCLUDES(lock_);
    // Bytes given back to the host since the start, counting a page each time.
    uint64_t discarded() const { return discarded_.load(std::memory_order_relaxed); }

  private:
    enum class Role : uint8_t { kInflate, kDeflate, kStatistics, kHints, kReports };

    std::optional<Role> role(uint16_t queue) const;
    bool has(uint64_t feature) const {
        return (negotiated_.load(std::memory_order_relaxed) & feature) != 0;
    }
    bool may_discard_free_pages() const EXCLUDES(lock_);
    void serve_pages(VirtioQueue& queue, bool inflate);
    void discard_pages(std::vector<uint32_t>& pages);
    void serve_statistics(VirtioQueue& queue) EXCLUDES(lock_, statistics_order_);
    void serve_hints(VirtioQueue& queue) EXCLUDES(lock_);
    void serve_reports(VirtioQueue& queue);
    void discard_buffers(const SliceList& buffers);
    void changed();

    GuestMemory& memory_;
    const uint64_t memory_bytes_;
    const VirtioBalloonOptions options_;
    std::atomic<uint64_t> negotiated_{0};
    std::atomic<uint64_t> discarded_{0};
    std::atomic<VirtioDeviceEvents*> events_{nullptr};
    // Taken before lock_: one thread at a time takes from the statistics queue.
    Mutex statistics_order_;
    mutable Mutex lock_;
    virtio::balloon::Config config_ GUARDED_BY(lock_){};
    uint32_t last_hint_command_ GUARDED_BY(lock_) = 0;
    uint32_t driver_hint_command_ GUARDED_BY(lock_) = 0;  // that the driver's hints belong to
    std::array<std::optional<uint64_t>, virtio::balloon::kStatistics> statistics_ GUARDED_BY(lock_);
    VirtioQueue* statistics_queue_ GUARDED_BY(lock_) = nullptr;  // of the running driver
};

}  // namespace mynah
