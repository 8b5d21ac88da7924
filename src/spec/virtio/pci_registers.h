#pragma once

#include <cstdint>

// Registers of the PCI transport [virtio-1.2 4.1].
namespace mynah::virtio::pci {

inline constexpr uint16_t kVendor = 0x1af4;
inline constexpr uint16_t kFirstDevice = 0x1040;  // plus the device type
inline constexpr uint8_t kRevision = 1;           // not a transitional device
inline constexpr uint16_t kSubsystem = 0x40;      // at least, likewise

// Types of the vendor capability that says where a structure is [virtio-1.2 4.1.4].
enum class CapabilityType : uint8_t {
    kCommon = 1,
    kNotify = 2,
    kIsr = 3,
    kDevice = 4,
    kPciConfig = 5,
    kSharedMemory = 8
};

// The common configuration structure [virtio-1.2 4.1.4.3]; widths in bits behind the names.
enum Common : uint64_t {
    kDeviceFeatureSelect = 0x00,  // 32 RW
    kDeviceFeature = 0x04,        // 32 R
    kDriverFeatureSelect = 0x08,  // 32 RW
    kDriverFeature = 0x0c,        // 32 RW
    kConfigMsixVector = 0x10,     // 16 RW
    kNumQueues = 0x12,            // 16 R
    kDeviceStatus = 0x14,         // 8 RW
    kConfigGeneration = 0x15,     // 8 R
    kQueueSelect = 0x16,          // 16 RW
    kQueueSize = 0x18,            // 16 RW
    kQueueMsixVector = 0x1a,      // 16 RW
    kQueueEnable = 0x1c,          // 16 RW
    kQueueNotifyOff = 0x1e,       // 16 R
    kQueueDescLow = 0x20,         // 64 RW, as two halves
    kQueueDescHigh = 0x24,
    kQueueDriverLow = 0x28,
    kQueueDriverHigh = 0x2c,
    kQueueDeviceLow = 0x30,
    kQueueDeviceHigh = 0x34,
    kQueueNotifyData = 0x38,  // 16 R
    kQueueReset = 0x3a,       // 16 RW
    kCommonSize = 0x3c,
};

inline constexpr uint16_t kNoVector = 0xffff;
inline constexpr uint8_t kIsrQueue = 1, kIsrConfiguration = 2;

}  // namespace mynah::virtio::pci
