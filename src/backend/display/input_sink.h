#pragma once

#include <cstdint>

namespace mynah {

enum class PointerButton : uint8_t { kLeft, kMiddle, kRight, kSide, kExtra };
inline constexpr unsigned kPointerButtons = 5;

// A keyboard of the guest. Any thread. Keys are numbered as Linux numbers them
// (linux/input-event-codes.h, KEY_...: where a key is on a US keyboard, not what is printed on it).
class KeySink {
  public:
    virtual ~KeySink() = default;
    // Keys that are down already, or up already, change nothing: the keyboard repeats by itself.
    virtual void key(uint16_t code, bool pressed) = 0;
    // The guest has set it up.
    virtual bool listens() const = 0;
};

// A pointing device of the guest. Any thread.
class PointerSink {
  public:
    virtual ~PointerSink() = default;
    // From the upper left corner (0, 0) to the lower right one (65535, 65535). A device that knows
    // only movements ignores it.
    virtual void move_to(uint16_t x, uint16_t y) = 0;
    // Right and down, in steps of about a pixel. A device that knows only places ignores it.
    virtual void move_by(int dx, int dy) = 0;
    virtual void button(PointerButton button, bool pressed) = 0;
    // Away from the user and to the right, in notches.
    virtual void wheel(int vertical, int horizontal) = 0;
    virtual bool absolute() const = 0;  // it knows places
    virtual bool listens() const = 0;
};

// Where a person's input goes in: a viewer's keys and pointer. Any thread.
class InputSink {
  public:
    struct Place {
        uint32_t x, y;           // pixels
        uint32_t width, height;  // of the picture they belong to
    };
    virtual ~InputSink() = default;
    virtual void key(uint16_t code, bool pressed) = 0;
    virtual void point(const Place& place) = 0;
    virtual void button(PointerButton button, bool pressed) = 0;
    virtual void wheel(int vertical, int horizontal) = 0;
};

}  // namespace mynah
