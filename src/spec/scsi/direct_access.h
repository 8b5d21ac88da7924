#pragma once

// What disks have beside the commands and sense data that all SCSI devices share [SPC-4; SBC-3].

#include <cstdint>

#include "spec/scsi/sense.h"

namespace mynah::scsi::disk {

inline constexpr uint8_t kActionReadCapacity16 = 0x10;  // of SERVICE ACTION IN (16)

inline constexpr Sense kSenseSpaceExhausted{kDataProtect, 0x27, 0x07};  // allocation failed

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
inline constexpr uint8_t kVpdProvisioning = 0xb2;

}  // namespace mynah::scsi::disk
