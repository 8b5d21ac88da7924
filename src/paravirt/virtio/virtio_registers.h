#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "paravirt/virtio/virtio_session.h"

namespace mynah {

// The registers that every transport has somewhere: features by halves, status, and the selected
// queue. A transport knows where each lies and has the rest. Every function from any thread.
class VirtioRegisters {
  public:
    enum class Name : uint8_t {
        kNone,  // reads 0, writes are dropped
        kDeviceFeatureSelect,
        kDeviceFeature,
        kDriverFeatureSelect,
        kDriverFeature,
        kStatus,
        kConfigGeneration,
        kQueueCount,
        kQueueSelect,
        kQueueSizeMax,
        kQueueSize,  // the largest until the driver chooses; 0: there is no such queue
        kQueueEnable,
        kQueueReset,
        kDescriptorsLow,
        kDescriptorsHigh,
        kDriverAreaLow,
        kDriverAreaHigh,
        kDeviceAreaLow,
        kDeviceAreaHigh,
    };

    explicit VirtioRegisters(VirtioSession& session) : session_(session) {}

    uint32_t read(Name name) const EXCLUDES(lock_);
    void write(Name name, uint32_t value) EXCLUDES(lock_);
    // A number no queue has, for selectors beyond 16 bits.
    static uint16_t queue_number(uint32_t value);
    uint16_t selected_queue() const EXCLUDES(lock_);

  private:
    uint32_t read_queue(Name name, uint16_t queue) const;
    void write_driver_feature(uint32_t value) EXCLUDES(lock_);
    void write_layout(Name name, uint32_t value) EXCLUDES(lock_);
    void write_status(uint32_t value) EXCLUDES(lock_);

    VirtioSession& session_;
    mutable Mutex lock_;  // of the selectors; not held while queues are started, stopped or served
    uint32_t device_feature_select_ GUARDED_BY(lock_) = 0;
    uint32_t driver_feature_select_ GUARDED_BY(lock_) = 0;
    uint32_t queue_select_ GUARDED_BY(lock_) = 0;
};

}  // namespace mynah
