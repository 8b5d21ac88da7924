#include "paravirt/virtio/virtio_mmio.h"

#include <algorithm>
#include <array>
#include <span>

#include "spec/virtio/mmio_registers.h"

namespace mynah {

using namespace virtio::mmio;

namespace {

uint32_t low_half(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high_half(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

GuestPhys with_low(GuestPhys address, uint32_t value) {
    return GuestPhys{(address.value & ~low_mask(32)) | value};
}
GuestPhys with_high(GuestPhys address, uint32_t value) {
    return GuestPhys{(address.value & low_mask(32)) | uint64_t{value} << 32};
}

// One half of a 64-bit set of features.
uint32_t half(uint64_t bits, uint32_t which) {
    return which == 0 ? low_half(bits) : which == 1 ? high_half(bits) : 0;
}

}  // namespace

VirtioMmio::VirtioMmio(VirtioDevice& device, const DmaView& memory, InterruptLine& line)
    : interrupt_(line), session_(device, memory, *this) {}

uint64_t VirtioMmio::read(uint64_t offset, unsigned size) {
    if (offset >= kConfig) return read_config(offset - kConfig, size);
    if (size == 4 && offset % 4 == 0) return read_register(offset);
    if (complaints_.allow()) {
        log(LogLevel::kWarning, "virtio-mmio: read of {} bytes at {:#x} gives 0", size, offset);
    }
    return 0;
}

void VirtioMmio::write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset >= kConfig) {
        write_config(offset - kConfig, size, value);
    } else if (size == 4 && offset % 4 == 0) {
        write_register(offset, static_cast<uint32_t>(value));
    } else if (complaints_.allow()) {
        log(LogLevel::kWarning, "virtio-mmio: write of {} bytes at {:#x} dropped", size, offset);
    }
}

uint32_t VirtioMmio::selected_queue() const {
    MutexLock hold(lock_);
    return queue_sel_;
}

uint32_t VirtioMmio::read_register(uint64_t offset) {
    switch (offset) {
        case kMagicValue:
            return kMagic;
        case kVersionNumber:
            return kVersion;
        case kDeviceId:
            return session_.device().device_id();
        case kVendorId:
            return kVendor;
        case kDeviceFeatures: {
            MutexLock hold(lock_);
            return half(session_.offered_features(), device_features_sel_);
        }
        case kQueueNumMax:
            return session_.queue_size_max(queue_number());
        case kQueueReady:
            return session_.queue_ready(queue_number()) ? 1 : 0;
        case kInterruptStatus:
            return interrupt_.bits();
        case kStatus:
            return session_.status();
        // No region exists: length all ones, and so a base [virtio-1.2 4.2.2, SHMLen].
        case kShmLenLow:
        case kShmLenHigh:
        case kShmBaseLow:
        case kShmBaseHigh:
            return ~uint32_t{0};
        // A reset is over when the write that asked for it returns.
        case kQueueReset:
            return 0;
        case kConfigGeneration:
            return session_.config_generation();
        default:
            return 0;  // write-only or reserved
    }
}

void VirtioMmio::write_register(uint64_t offset, uint32_t value) {
    switch (offset) {
        case kQueueNotify:
            session_.notify(queue_number_of(value));
            return;
        case kInterruptAck:
            interrupt_.acknowledge(value);
            return;
        case kStatus:
            write_status(value);
            return;
        case kDeviceFeaturesSel: {
            MutexLock hold(lock_);
            device_features_sel_ = value;
            return;
        }
        case kDriverFeaturesSel: {
            MutexLock hold(lock_);
            driver_features_sel_ = value;
            return;
        }
        case kDriverFeatures:
            write_driver_features(value);
            return;
        case kQueueSel: {
            MutexLock hold(lock_);
            queue_sel_ = value;
            return;
        }
        case kQueueReady:
            session_.set_queue_ready(queue_number(), (value & 1) != 0);
            return;
        case kQueueReset:
            if (value == 1) session_.reset_queue(queue_number());
            return;
        case kQueueNum:
        case kQueueDescLow:
        case kQueueDescHigh:
        case kQueueDriverLow:
        case kQueueDriverHigh:
        case kQueueDeviceLow:
        case kQueueDeviceHigh:
            write_queue_layout(offset, value);
            return;
        default:
            return;  // read-only or reserved
    }
}

// A number no queue has, for selectors beyond 16 bits.
uint16_t VirtioMmio::queue_number_of(uint32_t value) {
    return static_cast<uint16_t>(std::min<uint32_t>(value, 0xffff));
}

uint16_t VirtioMmio::queue_number() const { return queue_number_of(selected_queue()); }

void VirtioMmio::write_status(uint32_t value) {
    session_.write_status(value & 0xff);
    if (value != 0) return;
    MutexLock hold(lock_);
    device_features_sel_ = 0;
    driver_features_sel_ = 0;
    queue_sel_ = 0;
}

void VirtioMmio::write_driver_features(uint32_t value) {
    MutexLock hold(lock_);
    uint64_t bits = session_.driver_features();
    if (driver_features_sel_ == 0)
        bits = (bits & ~low_mask(32)) | value;
    else if (driver_features_sel_ == 1)
        bits = (bits & low_mask(32)) | uint64_t{value} << 32;
    else
        return;  // there are no features beyond 64
    session_.set_driver_features(bits);
}

void VirtioMmio::write_queue_layout(uint64_t offset, uint32_t value) {
    MutexLock hold(lock_);
    const uint16_t queue = queue_number_of(queue_sel_);
    RingLayout layout = session_.queue_layout(queue);
    switch (offset) {
        case kQueueNum:
            layout.size = value;
            break;
        case kQueueDescLow:
            layout.descriptors = with_low(layout.descriptors, value);
            break;
        case kQueueDescHigh:
            layout.descriptors = with_high(layout.descriptors, value);
            break;
        case kQueueDriverLow:
            layout.available = with_low(layout.available, value);
            break;
        case kQueueDriverHigh:
            layout.available = with_high(layout.available, value);
            break;
        case kQueueDeviceLow:
            layout.used = with_low(layout.used, value);
            break;
        case kQueueDeviceHigh:
            layout.used = with_high(layout.used, value);
            break;
        default:
            return;
    }
    session_.set_queue_layout(queue, layout);
}

uint64_t VirtioMmio::read_config(uint64_t offset, unsigned size) {
    std::array<std::byte, 8> bytes{};
    session_.device().read_config(offset, std::span(bytes).first(size));
    return load_unaligned<uint64_t>(bytes.data());
}

void VirtioMmio::write_config(uint64_t offset, unsigned size, uint64_t value) {
    std::array<std::byte, 8> bytes;
    store_unaligned(bytes.data(), value);
    session_.device().write_config(offset, std::span(bytes).first(size));
}

void VirtioMmio::used_buffers(uint16_t) { interrupt_.raise(kInterruptUsedBuffer); }
void VirtioMmio::configuration_changed() { interrupt_.raise(kInterruptConfigChange); }
void VirtioMmio::forget() { interrupt_.acknowledge(~uint32_t{0}); }

}  // namespace mynah
