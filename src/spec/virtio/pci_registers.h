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

// The legacy interface of transitional devices: ports in BAR 0 [virtio-1.2 4.1.4.10]; widths in
// bits behind the names.
enum Legacy : uint64_t {
    kLegacyDeviceFeatures = 0x00,  // 32 R
    kLegacyDriverFeatures = 0x04,  // 32 RW
    kLegacyQueueAddress = 0x08,    // 32 RW: in pages
    kLegacyQueueSize = 0x0c,       // 16 R
    kLegacyQueueSelect = 0x0e,     // 16 RW
    kLegacyQueueNotify = 0x10,     // 16 RW
    kLegacyStatus = 0x12,          // 8 RW
    kLegacyIsr = 0x13,             // 8 R
    kLegacyConfig = 0x14,          // without MSI-X
    kLegacyConfigVector = 0x14,    // 16 RW, with MSI-X
    kLegacyQueueVector = 0x16,     // 16 RW, likewise
    kLegacyConfigBehindVectors = 0x18,
};
inline constexpr uint64_t kLegacyPage = 4096;  // unit of the queue's address, and alignment of the
                                               // used ring [virtio-1.2 2.7.2]
inline constexpr uint16_t kTransitionalRevision = 0;

// PCI device id of a transitional device by its type [virtio-1.2 4.1.2.1]; 0: there is none.
constexpr uint16_t transitional_id(uint32_t type) {
    switch (type) {
        case 1:  // network
            return 0x1000;
        case 2:  // block
            return 0x1001;
        case 3:  // console
            return 0x1003;
        case 4:  // entropy
            return 0x1005;
        case 5:  // traditional balloon
            return 0x1002;
        case 8:  // SCSI host
            return 0x1004;
        case 9:  // 9P
            return 0x1009;
        default:
            return 0;
    }
}

inline constexpr uint16_t kNoVector = 0xffff;
inline constexpr uint8_t kIsrQueue = 1, kIsrConfiguration = 2;

}  // namespace mynah::virtio::pci
