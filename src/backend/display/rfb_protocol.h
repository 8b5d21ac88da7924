#pragma once

#include <cstddef>
#include <cstdint>

// Numbers of the remote framebuffer protocol [RFC 6143 7; rfbproto].
namespace mynah::rfb {

inline constexpr char kVersion[] = "RFB 003.008\n";
inline constexpr size_t kVersionBytes = 12;

enum class Security : uint8_t { kInvalid = 0, kNone = 1, kVncPassword = 2 };

enum class FromViewer : uint8_t {
    kSetPixelFormat = 0,
    kSetEncodings = 2,
    kUpdateRequest = 3,
    kKeyEvent = 4,
    kPointerEvent = 5,
    kCutText = 6,
    kSetDesktopSize = 251,
    kQemu = 255,
};
enum class ToViewer : uint8_t { kUpdate = 0, kBell = 2, kCutText = 3 };

inline constexpr int32_t kTight = 7, kDesktopSize = -223, kExtendedKeyEvent = -258,
                         kExtendedDesktopSize = -308;
inline constexpr uint8_t kQemuKeyEvent = 0;  // the kind of a kQemu message

// Of an extended desktop size: who wanted it, and what came of it [rfbproto ExtendedDesktopSize].
inline constexpr uint16_t kByServer = 0, kByThisViewer = 1;
inline constexpr uint16_t kSizeTaken = 0, kProhibited = 1, kBadLayout = 3, kForwarded = 4;

// Bits of a pointer event.
inline constexpr unsigned kWheelUp = 3, kWheelDown = 4, kWheelLeft = 5, kWheelRight = 6;

}  // namespace mynah::rfb
