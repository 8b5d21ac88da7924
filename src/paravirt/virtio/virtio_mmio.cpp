#include "paravirt/virtio/virtio_mmio.h"


#include "spec/virtio/mmio_registers.h"

namespace mynah {

using namespace virtio::mmio;

namespace {

using Name = VirtioRegisters::Name;

// Which of the registers of every transport lies here; kNone: none that can be read or written.
Name readable_name(uint64_t offset) {
    switch (offset) {
        case kDeviceFeatures:
            return Name::kDeviceFeature;
        case kQueueNumMax:
            return Name::kQueueSizeMax;
        case kQueueReady:
            return Name::kQueueEnable;
        case kStatus:
            return Name::kStatus;
        case kQueueReset:
            return Name::kQueueReset;
        case kConfigGeneration:
            return Name::kConfigGeneration;
        default:
            return Name::kNone;
    }
}

Name writable_name(uint64_t offset) {
    switch (offset) {
        case kDeviceFeaturesSel:
            return Name::kDeviceFeatureSelect;
        case kDriverFeatures:
            return Name::kDriverFeature;
        case kDriverFeaturesSel:
            return Name::kDriverFeatureSelect;
        case kQueueSel:
            return Name::kQueueSelect;
        case kQueueNum:
            return Name::kQueueSize;
        case kQueueReady:
            return Name::kQueueEnable;
        case kStatus:
            return Name::kStatus;
        case kQueueDescLow:
            return Name::kDescriptorsLow;
        case kQueueDescHigh:
            return Name::kDescriptorsHigh;
        case kQueueDriverLow:
            return Name::kDriverAreaLow;
        case kQueueDriverHigh:
            return Name::kDriverAreaHigh;
        case kQueueDeviceLow:
            return Name::kDeviceAreaLow;
        case kQueueDeviceHigh:
            return Name::kDeviceAreaHigh;
        case kQueueReset:
            return Name::kQueueReset;
        default:
            return Name::kNone;
    }
}

}  // namespace

VirtioMmio::VirtioMmio(VirtioDevice& device, const DmaView& memory, InterruptLine& line)
    : interrupt_(line), session_(device, memory, *this), registers_(session_) {}

std::vector<Bell> VirtioMmio::bells() const {
    std::vector<Bell> bells;
    for (uint16_t queue = 0; queue < session_.queue_count(); ++queue)
        bells.push_back({.offset = kQueueNotify, .size = 4, .value = queue});
    return bells;
}

uint64_t VirtioMmio::read(uint64_t offset, unsigned size) {
    if (offset >= kConfig) return session_.read_config(offset - kConfig, size);
    if (size == 4 && offset % 4 == 0) return read_register(offset);
    if (complaints_.allow()) {
        log(LogLevel::kWarning, "virtio-mmio: read of {} bytes at {:#x} gives 0", size, offset);
    }
    return 0;
}

void VirtioMmio::write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset >= kConfig) {
        session_.write_config(offset - kConfig, size, value);
    } else if (size == 4 && offset % 4 == 0) {
        write_register(offset, static_cast<uint32_t>(value));
    } else if (complaints_.allow()) {
        log(LogLevel::kWarning, "virtio-mmio: write of {} bytes at {:#x} dropped", size, offset);
    }
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
        case kInterruptStatus:
            return interrupt_.bits();
        // No region exists: length all ones, and so a base [virtio-1.2 4.2.2, SHMLen].
        case kShmLenLow:
        case kShmLenHigh:
        case kShmBaseLow:
        case kShmBaseHigh:
            return ~uint32_t{0};
        default:
            return registers_.read(readable_name(offset));
    }
}

void VirtioMmio::write_register(uint64_t offset, uint32_t value) {
    switch (offset) {
        case kQueueNotify:
            session_.notify_with_data(value);
            return;
        case kInterruptAck:
            interrupt_.acknowledge(value);
            return;
        default:
            registers_.write(writable_name(offset), value);
            return;
    }
}

void VirtioMmio::used_buffers(uint16_t) { interrupt_.raise(kInterruptUsedBuffer); }
void VirtioMmio::configuration_changed() { interrupt_.raise(kInterruptConfigChange); }
void VirtioMmio::forget() { interrupt_.acknowledge(~uint32_t{0}); }

}  // namespace mynah
