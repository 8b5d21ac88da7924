#pragma once

// Human interface devices [HID 1.11].

#include <cstdint>

namespace mynah::usb::hid {

inline constexpr uint8_t kSubclassBoot = 1;
inline constexpr uint8_t kProtocolKeyboard = 1;
inline constexpr uint8_t kProtocolMouse = 2;

inline constexpr uint8_t kDescriptorHid = 0x21;
inline constexpr uint8_t kDescriptorReport = 0x22;

// Class requests [HID 1.11 7.2].
inline constexpr uint8_t kGetReport = 1;
inline constexpr uint8_t kGetIdle = 2;
inline constexpr uint8_t kGetProtocol = 3;
inline constexpr uint8_t kSetReport = 9;
inline constexpr uint8_t kSetIdle = 10;
inline constexpr uint8_t kSetProtocol = 11;

// High byte of wValue in Get_Report and Set_Report.
inline constexpr uint8_t kReportInput = 1;
inline constexpr uint8_t kReportOutput = 2;

// Idle rates count in units of 4 ms.
inline constexpr uint64_t kIdleUnitNs = 4'000'000;

}  // namespace mynah::usb::hid
