#pragma once

#include <cstdint>

// Registers of the MC146818 by index [MC146818 table 3] and the bytes of CMOS memory that PC
// firmware keeps behind them [RALF CMOS].
namespace mynah::rtc {

inline constexpr uint8_t kSeconds = 0x00, kSecondsAlarm = 0x01, kMinutes = 0x02,
                         kMinutesAlarm = 0x03, kHours = 0x04, kHoursAlarm = 0x05, kWeekday = 0x06,
                         kDay = 0x07, kMonth = 0x08, kYear = 0x09, kA = 0x0a, kB = 0x0b, kC = 0x0c,
                         kD = 0x0d, kFirstMemory = 0x0e, kCentury = 0x32;

namespace a {
inline constexpr uint8_t kUpdateInProgress = 0x80, kDivider = 0x70, kRate = 0x0f;
inline constexpr uint8_t kDivider32768Hz = 0x20, kDividerReset = 0x60, kReset = 0x26;
}  // namespace a
namespace b {
inline constexpr uint8_t kSet = 0x80, kPeriodicEnable = 0x40, kAlarmEnable = 0x20,
                         kUpdateEnable = 0x10, kSquareWave = 0x08, kBinary = 0x04, k24Hour = 0x02,
                         kDaylightSaving = 0x01;
inline constexpr uint8_t kReset = k24Hour;
}  // namespace b
namespace c {
inline constexpr uint8_t kRequest = 0x80, kPeriodic = 0x40, kAlarm = 0x20, kUpdate = 0x10;
}
namespace d {
inline constexpr uint8_t kValidRam = 0x80;
}

inline constexpr uint8_t kAlarmAny = 0xc0;  // an alarm byte from here on matches everything
inline constexpr uint8_t kPm = 0x80;        // in the hours of 12-hour mode

}  // namespace mynah::rtc
