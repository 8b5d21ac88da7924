#pragma once

#include <array>
#include <cstdint>

// Why a command ended with CHECK CONDITION [SPC-4 4.5].
namespace mynah::scsi {

// Sense keys [SPC-4 table 54].
inline constexpr uint8_t kNoSense = 0x0, kNotReady = 0x2, kMediumError = 0x3, kHardwareError = 0x4,
                         kIllegalRequest = 0x5, kUnitAttention = 0x6, kDataProtect = 0x7;

// Key, additional sense code and its qualifier [SPC-4 table 56].
struct Sense {
    uint8_t key = kNoSense;
    uint8_t code = 0;
    uint8_t qualifier = 0;

    bool operator==(const Sense&) const = default;
};

inline constexpr Sense kSenseNone{};
inline constexpr Sense kSenseMediumNotPresent{kNotReady, 0x3a, 0x00};
inline constexpr Sense kSenseTrayOpen{kNotReady, 0x3a, 0x02};
inline constexpr Sense kSenseTrayClosed{kNotReady, 0x3a, 0x01};
inline constexpr Sense kSenseUnrecoveredRead{kMediumError, 0x11, 0x00};
inline constexpr Sense kSenseWriteError{kMediumError, 0x0c, 0x00};
inline constexpr Sense kSenseInternalFailure{kHardwareError, 0x44, 0x00};
inline constexpr Sense kSenseParameterListLength{kIllegalRequest, 0x1a, 0x00};
inline constexpr Sense kSenseInvalidOpcode{kIllegalRequest, 0x20, 0x00};
inline constexpr Sense kSenseLbaOutOfRange{kIllegalRequest, 0x21, 0x00};
inline constexpr Sense kSenseInvalidField{kIllegalRequest, 0x24, 0x00};
inline constexpr Sense kSenseLunNotSupported{kIllegalRequest, 0x25, 0x00};
inline constexpr Sense kSenseInvalidParameter{kIllegalRequest, 0x26, 0x00};
inline constexpr Sense kSenseSavingNotSupported{kIllegalRequest, 0x39, 0x00};
inline constexpr Sense kSenseRemovalPrevented{kIllegalRequest, 0x53, 0x02};
inline constexpr Sense kSenseIllegalTrackMode{kIllegalRequest, 0x64, 0x00};
inline constexpr Sense kSenseMediumChanged{kUnitAttention, 0x28, 0x00};
inline constexpr Sense kSensePowerOn{kUnitAttention, 0x29, 0x00};
inline constexpr Sense kSenseBusDeviceReset{kUnitAttention, 0x29, 0x03};
inline constexpr Sense kSenseModeParametersChanged{kUnitAttention, 0x2a, 0x01};
inline constexpr Sense kSenseReportedLunsChanged{kUnitAttention, 0x3f, 0x0e};
inline constexpr Sense kSenseWriteProtected{kDataProtect, 0x27, 0x00};

inline constexpr unsigned kFixedSenseSize = 18;

// Fixed format [SPC-4 4.5.3].
constexpr std::array<uint8_t, kFixedSenseSize> fixed_sense(Sense sense) {
    std::array<uint8_t, kFixedSenseSize> bytes{};
    bytes[0] = 0x70;  // current error
    bytes[2] = sense.key;
    bytes[7] = kFixedSenseSize - 8;
    bytes[12] = sense.code;
    bytes[13] = sense.qualifier;
    return bytes;
}

}  // namespace mynah::scsi
