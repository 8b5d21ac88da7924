#pragma once

#include <cstdint>

// Registers of configuration space [PCI 3.0 6.1, 6.2, 6.7, 6.8] and of PCI-to-PCI bridges
// [P2P 3.2], by offset in bytes.
namespace mynah::pci {

inline constexpr unsigned kConventionalBytes = 256, kExpressBytes = 4096;

inline constexpr unsigned kVendor = 0x00, kDevice = 0x02, kCommand = 0x04, kStatus = 0x06,
                          kRevision = 0x08, kClassCode = 0x09, kCacheLine = 0x0c,
                          kLatencyTimer = 0x0d, kHeaderType = 0x0e, kBar0 = 0x10,
                          kSubsystemVendor = 0x2c, kSubsystem = 0x2e, kRom = 0x30,
                          kCapabilities = 0x34, kInterruptLine = 0x3c, kInterruptPin = 0x3d,
                          kFirstFree = 0x40;
inline constexpr unsigned kBars = 6, kBridgeBars = 2;
inline constexpr uint16_t kNoVendor = 0xffff;

namespace command {  // [PCI 3.0 6.2.2]
inline constexpr uint16_t kIo = 1u << 0, kMemory = 1u << 1, kBusMaster = 1u << 2,
                          kParityResponse = 1u << 6, kSerr = 1u << 8, kIntxDisable = 1u << 10;
inline constexpr uint16_t kWritable =
    kIo | kMemory | kBusMaster | kParityResponse | kSerr | kIntxDisable;
}  // namespace command

namespace status {  // [PCI 3.0 6.2.3]
inline constexpr uint16_t kInterrupt = 1u << 3, kCapabilities = 1u << 4;
inline constexpr uint16_t kClearable = 0xf900;  // errors: write one to clear
}  // namespace status

namespace header_type {
inline constexpr uint8_t kBridge = 1, kMultiFunction = 0x80;
}

namespace bar {  // [PCI 3.0 6.2.5.1]
inline constexpr uint32_t kIo = 1u << 0, kMemory64 = 2u << 1, kPrefetchable = 1u << 3;
inline constexpr uint64_t kIoFlags = 0x3, kMemoryFlags = 0xf;
inline constexpr uint64_t kSmallestIo = 4, kSmallestMemory = 16;
}  // namespace bar
namespace rom {  // [PCI 3.0 6.2.5.2]
inline constexpr uint32_t kEnable = 1u << 0;
inline constexpr uint64_t kFlags = 0x7ff, kSmallest = 0x800;
}  // namespace rom

namespace bridge {  // [P2P 3.2.5]
inline constexpr unsigned kPrimaryBus = 0x18, kSecondaryBus = 0x19, kSubordinateBus = 0x1a,
                          kSecondaryLatency = 0x1b, kIoBase = 0x1c, kIoLimit = 0x1d,
                          kSecondaryStatus = 0x1e, kMemoryBase = 0x20, kMemoryLimit = 0x22,
                          kPrefetchBase = 0x24, kPrefetchLimit = 0x26, kPrefetchBaseHigh = 0x28,
                          kPrefetchLimitHigh = 0x2c, kIoBaseHigh = 0x30, kIoLimitHigh = 0x32,
                          kRom = 0x38, kControl = 0x3e;
inline constexpr uint16_t kControlSecondaryReset = 1u << 6;
inline constexpr uint16_t kControlWritable = 0x0fff;
}  // namespace bridge

namespace capability {
inline constexpr uint8_t kPowerManagement = 0x01, kMsi = 0x05, kVendor = 0x09, kSubsystemIds = 0x0d,
                         kExpress = 0x10, kMsix = 0x11;
}

namespace msi {  // [PCI 3.0 6.8.1], with 64-bit address and per-vector masks; from the capability
inline constexpr unsigned kControl = 2, kAddress = 4, kAddressHigh = 8, kData = 12, kMask = 16,
                          kPending = 20, kBytes = 24, kMaxVectors = 32;
inline constexpr uint16_t kEnable = 1u << 0, kMultipleEnable = 7u << 4, kAddress64 = 1u << 7,
                          kPerVectorMask = 1u << 8;
inline constexpr unsigned kMultipleCapableShift = 1, kMultipleEnableShift = 4;
}  // namespace msi

namespace msix {  // [PCI 3.0 6.8.2]
inline constexpr unsigned kControl = 2, kTable = 4, kPendingBits = 8, kBytes = 12;
inline constexpr uint16_t kEnable = 1u << 15, kFunctionMask = 1u << 14;
inline constexpr unsigned kEntryBytes = 16, kMaxVectors = 2048;
inline constexpr unsigned kEntryAddress = 0, kEntryAddressHigh = 4, kEntryData = 8,
                          kEntryControl = 12;
inline constexpr uint32_t kEntryMasked = 1u << 0;
}  // namespace msix

namespace express {  // [PCIe 3.0 7.8], from the capability
inline constexpr unsigned kCapabilities = 0x02, kDeviceCapabilities = 0x04, kDeviceControl = 0x08,
                          kDeviceStatus = 0x0a, kLinkCapabilities = 0x0c, kLinkControl = 0x10,
                          kLinkStatus = 0x12, kSlotCapabilities = 0x14, kSlotControl = 0x18,
                          kSlotStatus = 0x1a, kRootControl = 0x1c, kRootCapabilities = 0x1e,
                          kRootStatus = 0x20, kDeviceCapabilities2 = 0x24, kDeviceControl2 = 0x28,
                          kLinkCapabilities2 = 0x2c, kLinkControl2 = 0x30, kLinkStatus2 = 0x32,
                          kBytes = 0x3c;
inline constexpr uint16_t kVersion2 = 2, kSlotImplemented = 1u << 8;
inline constexpr uint32_t kRoleBasedErrors = 1u << 15;
inline constexpr uint16_t kDeviceControlReset = 0x2810, kDeviceControlWritable = 0x7fff;
inline constexpr uint16_t kDeviceStatusClearable = 0x000f;
// 2.5 GT/s, one lane.
inline constexpr uint32_t kLinkSpeed1Width1 = 0x011;
inline constexpr uint16_t kLinkControlWritable = 0x00fb;

namespace slot {  // [PCIe 3.0 7.8.9 to 7.8.11]
// Capabilities.
inline constexpr uint32_t kButton = 1u << 0, kPowerController = 1u << 1, kAttentionLamp = 1u << 3,
                          kPowerLamp = 1u << 4, kHotPlug = 1u << 6;
inline constexpr unsigned kNumberShift = 19;
// Control: enables are the bits of their events but for the link's.
inline constexpr uint32_t kSameEnables = 0x1f, kInterruptEnable = 1u << 5,
                          kAttentionLampOff = 3u << 6, kPowerLampOn = 1u << 8,
                          kPowerLampOff = 3u << 8, kPowerOff = 1u << 10, kLinkEnable = 1u << 12,
                          kControlWritable = 0x17ff;
// Status.
inline constexpr uint32_t kButtonPressed = 1u << 0, kPresenceChanged = 1u << 3,
                          kCommandCompleted = 1u << 4, kPresence = 1u << 6, kLinkChanged = 1u << 8,
                          kEvents = 0x011f;
}  // namespace slot
}  // namespace express

// Configuration mechanism 1 [PCI 3.0 3.2.2.3.2].
namespace mechanism1 {
inline constexpr uint16_t kAddressPort = 0xcf8, kPorts = 8;
inline constexpr uint32_t kEnable = 1u << 31;
inline constexpr uint32_t kAddressWritable = 0x80fffffc;
}  // namespace mechanism1

}  // namespace mynah::pci
