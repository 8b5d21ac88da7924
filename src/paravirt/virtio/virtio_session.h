#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/device.h"

namespace mynah {

// How a transport tells the driver something. Any thread, no lock held.
class VirtioInterrupts {
  public:
    virtual ~VirtioInterrupts() = default;
    virtual void used_buffers(uint16_t queue) = 0;
    virtual void configuration_changed() = 0;
    // The device was reset: what was told and not yet acknowledged is void.
    virtual void forget() = 0;
};

// What driver and device have agreed on since the last reset: status, features, queues
// [virtio-1.2 2.1, 2.2, 3.1]. The part of a virtio device that is the same under every
// transport; a transport turns its registers into these calls. Every function from any thread.
//
// What a driver does out of order is ignored and logged; what could hand memory to the device
// that the driver did not mean sets DEVICE_NEEDS_RESET, after which only a reset helps.
class VirtioSession final : private QueueEvents, private VirtioDeviceEvents {
  public:
    VirtioSession(VirtioDevice& device, const DmaView& memory, VirtioInterrupts& interrupts);
    // Stops the queues.
    ~VirtioSession() override;
    VirtioSession(const VirtioSession&) = delete;
    VirtioSession& operator=(const VirtioSession&) = delete;

    VirtioDevice& device() { return device_; }
    // A register access to the device's configuration; `size` is at most 8 bytes.
    uint64_t read_config(uint64_t offset, unsigned size) const;
    void write_config(uint64_t offset, unsigned size, uint64_t value);
    uint64_t offered_features() const;

    uint64_t driver_features() const;
    // Ignored once FEATURES_OK is set [virtio-1.2 3.1.1].
    void set_driver_features(uint64_t features);

    uint32_t status() const { return status_.load(std::memory_order_acquire); }
    // What a driver of the legacy interface is offered; it knows 32 bits.
    uint32_t legacy_features() const;
    // As write_status() for such a driver, who knows no FEATURES_OK: his features count when he
    // sets DRIVER_OK [virtio-1.2 3.1.2].
    void write_legacy_status(uint32_t value);
    // Bits are added; 0 resets the device and returns when nothing is in flight.
    void write_status(uint32_t value);

    uint16_t queue_count() const { return static_cast<uint16_t>(queues_.size()); }
    // For a queue that does not exist: sizes are 0, layouts empty, the rest is ignored.
    uint16_t queue_size_max(uint16_t queue) const;
    RingLayout queue_layout(uint16_t queue) const;
    // Ignored while the queue is ready.
    void set_queue_layout(uint16_t queue, const RingLayout& layout);
    bool queue_ready(uint16_t queue) const;
    void set_queue_ready(uint16_t queue, bool ready);
    // [virtio-1.2 2.6.1], ignored unless RING_RESET was negotiated.
    void reset_queue(uint16_t queue);

    // Changes with every change of the configuration [virtio-1.2 2.5.1].
    uint32_t config_generation() const {
        return config_generation_.load(std::memory_order_acquire);
    }

    // The bell: the calling thread serves the queue.
    void notify(uint16_t queue);
    // The same by what the driver wrote: a queue's number, and perhaps how far it got.
    void notify_with_data(uint32_t value);

  private:
    struct QueueSlot {
        std::unique_ptr<VirtioQueue> queue;
        RingLayout layout;
        bool ready = false;
    };

    void queue_used(uint16_t index) override;
    void queue_broken(uint16_t index, Ring::RingError error) override;
    void configuration_changed() override;

    void reset();
    void add_status(uint32_t value, bool legacy);
    bool accept_features(uint64_t offered) REQUIRES(lock_);
    bool start_queue(QueueSlot& slot) REQUIRES(lock_);
    void stop_queue(QueueSlot& slot) REQUIRES(lock_);
    void needs_reset();
    // For the device's history.
    void note_features(bool legacy) REQUIRES(lock_);
    void note_status();
    void note_refusal(bool legacy) REQUIRES(lock_);
    uint64_t needed_features() const;
    bool serving() const;  // DRIVER_OK is set and nothing is broken

    VirtioDevice& device_;
    VirtioInterrupts& interrupts_;
    const VirtioRings rings_;
    const bool translated_;  // the driver's addresses are an IOMMU's [virtio-1.2 6.1]
    // Held over whole driver actions, so that two processors cannot interleave a reset with a
    // set-up. Never taken by completions or by notify().
    mutable Mutex lock_;
    std::atomic<uint32_t> status_{0};
    std::atomic<uint32_t> config_generation_{0};
    std::atomic<bool> has_notification_data_{false};
    uint64_t driver_features_ GUARDED_BY(lock_) = 0;
    std::vector<QueueSlot> queues_;
    LogLimit complaints_;
};

}  // namespace mynah
