#include "device/usb/usb_input.h"

#include <linux/input-event-codes.h>

#include <array>

namespace mynah {

using Kind = HidEvent::Kind;

void UsbInput::Keys::key(uint16_t code, bool pressed) {
    const HidEvent event{Kind::kKey, code, pressed ? 1 : 0};
    keyboard_.events({&event, 1});
}

void UsbInput::Pointer::move_to(uint16_t x, uint16_t y) {
    const std::array<HidEvent, 2> events{
        HidEvent{Kind::kAbsolute, ABS_X, x >> 1},  // 0 to HidEvent::kAbsoluteMax
        HidEvent{Kind::kAbsolute, ABS_Y, y >> 1}};
    tablet_.events(events);
}

void UsbInput::Pointer::button(PointerButton button, bool pressed) {
    constexpr std::array<uint16_t, kPointerButtons> kCodes{BTN_LEFT, BTN_MIDDLE, BTN_RIGHT,
                                                           BTN_SIDE, BTN_EXTRA};
    const HidEvent event{Kind::kKey, kCodes[static_cast<size_t>(button)], pressed ? 1 : 0};
    tablet_.events({&event, 1});
}

void UsbInput::Pointer::wheel(int vertical, int horizontal) {
    const std::array<HidEvent, 2> events{HidEvent{Kind::kRelative, REL_WHEEL, vertical},
                                         HidEvent{Kind::kRelative, REL_HWHEEL, horizontal}};
    tablet_.events(events);
}

}  // namespace mynah
