#include "paravirt/virtio/virtio_registers.h"

#include <algorithm>

#include "base/bits.h"

namespace mynah {
namespace {

uint32_t low_half(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high_half(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

// One half of a 64-bit set of features; there are none beyond.
uint32_t half(uint64_t bits, uint32_t which) {
    return which == 0 ? low_half(bits) : which == 1 ? high_half(bits) : 0;
}

uint64_t with_low(uint64_t bits, uint32_t value) { return (bits & ~low_mask(32)) | value; }
uint64_t with_high(uint64_t bits, uint32_t value) {
    return (bits & low_mask(32)) | uint64_t{value} << 32;
}

}  // namespace

uint16_t VirtioRegisters::queue_number(uint32_t value) {
    return static_cast<uint16_t>(std::min<uint32_t>(value, 0xffff));
}

uint16_t VirtioRegisters::selected_queue() const {
    MutexLock hold(lock_);
    return queue_number(queue_select_);
}

uint32_t VirtioRegisters::read(Name name) const {
    switch (name) {
        case Name::kDeviceFeatureSelect: {
            MutexLock hold(lock_);
            return device_feature_select_;
        }
        case Name::kDeviceFeature: {
            MutexLock hold(lock_);
            return half(session_.offered_features(), device_feature_select_);
        }
        case Name::kDriverFeatureSelect: {
            MutexLock hold(lock_);
            return driver_feature_select_;
        }
        case Name::kDriverFeature: {
            MutexLock hold(lock_);
            return half(session_.driver_features(), driver_feature_select_);
        }
        case Name::kStatus:
            return session_.status();
        case Name::kConfigGeneration:
            return session_.config_generation();
        case Name::kQueueCount:
            return session_.queue_count();
        case Name::kQueueSelect: {
            MutexLock hold(lock_);
            return queue_select_;
        }
        default:
            return read_queue(name, selected_queue());
    }
}

uint32_t VirtioRegisters::read_queue(Name name, uint16_t queue) const {
    const RingLayout layout = session_.queue_layout(queue);
    switch (name) {
        case Name::kQueueSizeMax:
            return session_.queue_size_max(queue);
        case Name::kQueueSize:
            return layout.size != 0 ? layout.size : session_.queue_size_max(queue);
        case Name::kQueueEnable:
            return session_.queue_ready(queue) ? 1 : 0;
        case Name::kDescriptorsLow:
            return low_half(layout.descriptors.value);
        case Name::kDescriptorsHigh:
            return high_half(layout.descriptors.value);
        case Name::kDriverAreaLow:
            return low_half(layout.available.value);
        case Name::kDriverAreaHigh:
            return high_half(layout.available.value);
        case Name::kDeviceAreaLow:
            return low_half(layout.used.value);
        case Name::kDeviceAreaHigh:
            return high_half(layout.used.value);
        default:
            return 0;  // a reset is over when the write that asked for it returns
    }
}

void VirtioRegisters::write(Name name, uint32_t value) {
    switch (name) {
        case Name::kDeviceFeatureSelect: {
            MutexLock hold(lock_);
            device_feature_select_ = value;
            return;
        }
        case Name::kDriverFeatureSelect: {
            MutexLock hold(lock_);
            driver_feature_select_ = value;
            return;
        }
        case Name::kDriverFeature:
            write_driver_feature(value);
            return;
        case Name::kStatus:
            write_status(value);
            return;
        case Name::kQueueSelect: {
            MutexLock hold(lock_);
            queue_select_ = value;
            return;
        }
        case Name::kQueueEnable:
            session_.set_queue_ready(selected_queue(), (value & 1) != 0);
            return;
        case Name::kQueueReset:
            if (value == 1) session_.reset_queue(selected_queue());
            return;
        default:
            write_layout(name, value);
            return;
    }
}

void VirtioRegisters::write_status(uint32_t value) {
    session_.write_status(value & 0xff);
    if ((value & 0xff) != 0) return;
    MutexLock hold(lock_);
    device_feature_select_ = 0;
    driver_feature_select_ = 0;
    queue_select_ = 0;
}

void VirtioRegisters::write_driver_feature(uint32_t value) {
    MutexLock hold(lock_);
    if (driver_feature_select_ > 1) return;
    const uint64_t bits = session_.driver_features();
    session_.set_driver_features(driver_feature_select_ == 0 ? with_low(bits, value)
                                                             : with_high(bits, value));
}

void VirtioRegisters::write_layout(Name name, uint32_t value) {
    MutexLock hold(lock_);
    const uint16_t queue = queue_number(queue_select_);
    RingLayout layout = session_.queue_layout(queue);
    const auto set_low = [value](GuestPhys& at) { at = GuestPhys{with_low(at.value, value)}; };
    const auto set_high = [value](GuestPhys& at) { at = GuestPhys{with_high(at.value, value)}; };
    switch (name) {
        case Name::kQueueSize:
            layout.size = value;
            break;
        case Name::kDescriptorsLow:
            set_low(layout.descriptors);
            break;
        case Name::kDescriptorsHigh:
            set_high(layout.descriptors);
            break;
        case Name::kDriverAreaLow:
            set_low(layout.available);
            break;
        case Name::kDriverAreaHigh:
            set_high(layout.available);
            break;
        case Name::kDeviceAreaLow:
            set_low(layout.used);
            break;
        case Name::kDeviceAreaHigh:
            set_high(layout.used);
            break;
        default:
            return;  // read-only or reserved
    }
    session_.set_queue_layout(queue, layout);
}

}  // namespace mynah
