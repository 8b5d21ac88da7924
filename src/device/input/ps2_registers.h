#pragma once

#include <cstdint>

// Commands and answers of PS/2 keyboards and mice [PS/2 TRM].
namespace mynah::ps2 {

inline constexpr uint8_t kAcknowledge = 0xfa, kResend = 0xfe, kSelfTestPassed = 0xaa;

namespace keyboard {
inline constexpr uint8_t kFirstCommand = 0xed;
inline constexpr uint8_t kSetLeds = 0xed, kEcho = 0xee, kScanCodeSet = 0xf0, kIdentify = 0xf2,
                         kSetTypematic = 0xf3, kEnable = 0xf4, kDefaultsDisable = 0xf5,
                         kDefaults = 0xf6, kAllRepeat = 0xf7, kAllMakeBreak = 0xf8, kAllMake = 0xf9,
                         kAllRepeatMakeBreak = 0xfa, kKeyRepeat = 0xfb, kKeyMakeBreak = 0xfc,
                         kKeyMake = 0xfd, kResendLast = 0xfe, kReset = 0xff;
inline constexpr uint8_t kId1 = 0xab, kId2 = 0x83;
inline constexpr uint8_t kDefaultTypematic = 0x2b;  // 500 ms, 10.9 a second
}  // namespace keyboard

namespace mouse {
inline constexpr uint8_t kScale1 = 0xe6, kScale2 = 0xe7, kSetResolution = 0xe8, kStatus = 0xe9,
                         kStreamMode = 0xea, kReadData = 0xeb, kLeaveWrap = 0xec, kWrapMode = 0xee,
                         kRemoteMode = 0xf0, kIdentify = 0xf2, kSetSampleRate = 0xf3,
                         kEnable = 0xf4, kDisable = 0xf5, kDefaults = 0xf6, kResendLast = 0xfe,
                         kReset = 0xff;
inline constexpr uint8_t kStandardId = 0, kWheelId = 3, kFiveButtonsId = 4;
inline constexpr uint8_t kDefaultRate = 100, kDefaultResolution = 2;
// The first byte of a packet.
inline constexpr uint8_t kLeft = 0x01, kRight = 0x02, kMiddle = 0x04, kAlways = 0x08, kXSign = 0x10,
                         kYSign = 0x20;
// The fourth one of a mouse with five buttons.
inline constexpr uint8_t kSide = 0x10, kExtra = 0x20;
}  // namespace mouse

}  // namespace mynah::ps2
