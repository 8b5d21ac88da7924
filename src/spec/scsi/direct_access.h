#pragma once

// Commands and sense data of SCSI disks [SPC-4; SBC-3].

#include <cstdint>

namespace mynah::scsi::disk {

enum Opcode : uint8_t {
    kTestUnitReady = 0x00,
    kRequestSense = 0x03,
    kRead6 = 0x08,
    kWrite6 = 0x0a,
    kInquiry = 0x12,
    kModeSelect6 = 0x15,
    kModeSense6 = 0x1a,
    kStartStopUnit = 0x1b,
    kPreventAllowRemoval = 0x1e,
    kReadFormatCapacities = 0x23,  // [MMC-6 6.24]; sticks answer it, Windows asks
    kReadCapacity10 = 0x25,
    kRead10 = 0x28,
    kWrite10 = 0x2a,
    kVerify10 = 0x2f,
    kSynchronizeCache10 = 0x35,
    kModeSelect10 = 0x55,
    kModeSense10 = 0x5a,
    kRead16 = 0x88,
    kWrite16 = 0x8a,
    kVerify16 = 0x8f,
    kSynchronizeCache16 = 0x91,
    kServiceActionIn16 = 0x9e,
    kReportLuns = 0xa0,
    kRead12 = 0xa8,
    kWrite12 = 0xaa,
};
inline constexpr uint8_t kActionReadCapacity16 = 0x10;  // of kServiceActionIn16

// Sense key, additional sense code and its qualifier [SPC-4 4.5].
struct Sense {
    uint8_t key = 0, code = 0, qualifier = 0;
    bool operator==(const Sense&) const = default;
};
inline constexpr Sense kNoSense{0x0, 0x00, 0x00};
inline constexpr Sense kReadError{0x3, 0x11, 0x00};
inline constexpr Sense kWriteError{0x3, 0x0c, 0x00};
inline constexpr Sense kInvalidOpcode{0x5, 0x20, 0x00};
inline constexpr Sense kOutOfRange{0x5, 0x21, 0x00};
inline constexpr Sense kInvalidFieldInCdb{0x5, 0x24, 0x00};
inline constexpr Sense kLunNotSupported{0x5, 0x25, 0x00};
inline constexpr Sense kInvalidFieldInParameters{0x5, 0x26, 0x00};
inline constexpr Sense kWriteProtected{0x7, 0x27, 0x00};
inline constexpr Sense kSpaceExhausted{0x7, 0x27, 0x07};  // space allocation failed
inline constexpr Sense kSavingNotSupported{0x5, 0x39, 0x00};

// Mode pages [SPC-4 7.5; SBC-3 6.4].
inline constexpr uint8_t kPageErrorRecovery = 0x01;
inline constexpr uint8_t kPageCaching = 0x08;
inline constexpr uint8_t kPageControl = 0x0a;
inline constexpr uint8_t kPageAll = 0x3f;

// Vital product data [SPC-4 7.8; SBC-3 6.5].
inline constexpr uint8_t kVpdSupported = 0x00;
inline constexpr uint8_t kVpdSerial = 0x80;
inline constexpr uint8_t kVpdIdentification = 0x83;
inline constexpr uint8_t kVpdBlockLimits = 0xb0;
inline constexpr uint8_t kVpdCharacteristics = 0xb1;

}  // namespace mynah::scsi::disk
