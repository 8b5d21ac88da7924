#pragma once

#include <cstdint>

// Bits of the registers of an ATA device [ACS-3 6; ATA8-APT 5].
namespace mynah::ata {

namespace status {
inline constexpr uint8_t kBusy = 0x80, kReady = 0x40, kFault = 0x20, kSeekComplete = 0x10,
                         kDataRequest = 0x08, kError = 0x01;
inline constexpr uint8_t kIdle = kReady | kSeekComplete;
}  // namespace status

namespace error {
inline constexpr uint8_t kInterfaceCrc = 0x80, kUncorrectable = 0x40, kIdNotFound = 0x10,
                         kAborted = 0x04;
inline constexpr uint8_t kDiagnosticPassed = 0x01;
}  // namespace error

namespace device {
inline constexpr uint8_t kLba = 0x40, kSecond = 0x10, kHeadMask = 0x0f;
inline constexpr uint8_t kForceUnitAccess = 0x80;  // of the queued commands
}  // namespace device

namespace control {
inline constexpr uint8_t kHighOrderByte = 0x80, kSoftReset = 0x04, kNoInterrupt = 0x02;
}

// Of PACKET: what the count register says between phases, and the features [ACS-3 7.21].
namespace packet {
inline constexpr uint8_t kCommand = 0x01, kToHost = 0x02;
inline constexpr uint8_t kFeatureDma = 0x01;
}  // namespace packet

// What a device shows after a reset [ACS-3 table 206].
inline constexpr uint64_t kDiskSignature = 0x000001;    // LBA
inline constexpr uint64_t kPacketSignature = 0xeb1401;  // LBA

inline constexpr uint32_t kIdentifySize = 512;  // bytes
inline constexpr uint32_t kPacketSize = 12;     // bytes of a command packet

}  // namespace mynah::ata
