#pragma once

#include <cstdint>

namespace mynah {

// What a person does at keyboard and pointer, in the codes of Linux's evdev
// (linux/input-event-codes.h).
struct HidEvent {
    enum class Kind : uint8_t {
        kKey,       // code: KEY_... or BTN_...; value: 1 down, 0 up
        kRelative,  // code: REL_X, REL_Y, REL_WHEEL (up is positive), REL_HWHEEL
        kAbsolute,  // code: ABS_X, ABS_Y; value: 0 to kAbsoluteMax over the whole screen
    };
    static constexpr int32_t kAbsoluteMax = 0x7fff;

    Kind kind;
    uint16_t code;
    int32_t value;
};

// Told which lights of a keyboard are on.
class KeyboardLights {
  public:
    virtual ~KeyboardLights() = default;
    // Bits: 0 num lock, 1 caps lock, 2 scroll lock, 3 compose, 4 kana. Any thread.
    virtual void lights(uint8_t bits) = 0;
};

}  // namespace mynah
