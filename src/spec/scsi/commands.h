#pragma once

#include <cstdint>

// Operation codes of command descriptor blocks [SPC-4 6, SBC-3 5, MMC-6 6] and status codes
// [SAM-5 5.3].
namespace mynah::scsi {

inline constexpr uint8_t kTestUnitReady = 0x00, kRequestSense = 0x03, kFormatUnit = 0x04,
                         kRead6 = 0x08, kWrite6 = 0x0a, kSeek6 = 0x0b, kInquiry = 0x12,
                         kModeSelect6 = 0x15, kModeSense6 = 0x1a, kStartStopUnit = 0x1b,
                         kSendDiagnostic = 0x1d, kPreventAllowMediumRemoval = 0x1e,
                         kReadFormatCapacities = 0x23,
                         kReadCapacity10 = 0x25, kRead10 = 0x28, kWrite10 = 0x2a, kSeek10 = 0x2b,
                         kWriteAndVerify10 = 0x2e, kVerify10 = 0x2f, kSynchronizeCache10 = 0x35,
                         kWriteSame10 = 0x41, kUnmap = 0x42, kReadSubChannel = 0x42,
                         kReadToc = 0x43, kGetConfiguration = 0x46,
                         kGetEventStatusNotification = 0x4a, kReadDiscInformation = 0x51,
                         kReadTrackInformation = 0x52, kModeSelect10 = 0x55, kModeSense10 = 0x5a,
                         kRead16 = 0x88, kWrite16 = 0x8a, kWriteAndVerify16 = 0x8e,
                         kVerify16 = 0x8f,
                         kSynchronizeCache16 = 0x91, kWriteSame16 = 0x93, kServiceActionIn16 = 0x9e,
                         kReportLuns = 0xa0, kMaintenanceIn = 0xa3, kRead12 = 0xa8,
                         kWrite12 = 0xaa, kWriteAndVerify12 = 0xae, kVerify12 = 0xaf,
                         kReadDvdStructure = 0xad, kSetCdSpeed = 0xbb, kMechanismStatus = 0xbd,
                         kReadCd = 0xbe;

// Service actions.
inline constexpr uint8_t kActionReportSupportedOperationCodes = 0x0c;  // of MAINTENANCE IN

inline constexpr uint8_t kStatusGood = 0x00, kStatusCheckCondition = 0x02;

// Peripheral device types [SPC-4 table 160].
inline constexpr uint8_t kTypeDirectAccess = 0x00, kTypeCdDvd = 0x05, kTypeUnknown = 0x1f;

// Peripheral qualifiers, in their place [SPC-4 table 159].
inline constexpr uint8_t kQualifierNotConnected = 0x20, kQualifierNotCapable = 0x60;

}  // namespace mynah::scsi
