#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "paravirt/virtio/virtio_history.h"
#include "paravirt/virtio/virtio_queue.h"

namespace mynah {

// What a device can tell its driver unasked. Any thread, no lock held.
class VirtioDeviceEvents {
  public:
    virtual ~VirtioDeviceEvents() = default;
    // What read_config() gives has changed [virtio-1.2 2.5.1].
    virtual void configuration_changed() = 0;
};

// What a device's rings are offered with, beside what all are.
struct VirtioRings {
    bool packed = false;    // the driver may choose the packed layout [virtio-1.2 2.8]
    bool in_order = false;  // it may ask for its buffers back in order [virtio-1.2 2.7.9, 2.8.12]
};

// A virtio device of some type, below any transport: it knows its queues, its feature bits and
// its configuration, and nothing of registers, interrupts or addresses. Every function from any
// thread; serve() on several at once.
class VirtioDevice {
  public:
    virtual ~VirtioDevice() = default;

    virtual uint32_t device_id() const = 0;  // [virtio-1.2 5]
    // Bits of the device's type, constant. Those of rings and transports are the session's
    // business.
    virtual uint64_t features() const = 0;
    virtual uint16_t queue_count() const = 0;
    virtual uint16_t queue_size_max(uint16_t queue) const = 0;  // a power of two

    // Device configuration [virtio-1.2 2.5]. Beyond its end: reads give zeroes, writes are dropped.
    virtual void read_config(uint64_t offset, std::span<std::byte> to) const = 0;
    virtual void write_config(uint64_t offset, std::span<const std::byte> from) = 0;

    // The driver accepted these bits, a subset of features(), and VERSION_1 unless it is a legacy
    // one. No queue runs.
    virtual void negotiated(uint64_t features) = 0;
    // The driver rang the bell of a queue, or it was started with buffers in it.
    virtual void serve(VirtioQueue& queue) = 0;
    // The queue is about to stop and gives out nothing any more; the session waits afterwards until
    // all chains are back. Devices that keep chains until something happens hand them back here
    // (VirtioQueue::abandon). Within a driver's action, never two at once for a device.
    virtual void stopping(VirtioQueue&) {}
    // Back to the state after power-on. No queue runs and no chain is out.
    virtual void reset() = 0;
    // Whom to tell, from the making of the session to its end; null: nobody any more, and no queue
    // that serve() was called with exists any longer.
    virtual void connect(VirtioDeviceEvents*) {}
    // Constant: as the operator wants it.
    virtual VirtioRings rings() const { return {}; }
    // Bits of the device's type that would be offered if what is behind it (a vhost back end) could
    // do them.
    virtual uint64_t withheld_features() const { return 0; }

    // Where the session writes down how far the driver comes; null, as it is to begin with: nowhere.
    // Outlives the device, or is taken away from it.
    void set_history(VirtioHistory* history) { history_.store(history, std::memory_order_release); }
    VirtioHistory* history() const { return history_.load(std::memory_order_acquire); }

  private:
    std::atomic<VirtioHistory*> history_{nullptr};
};

}  // namespace mynah
