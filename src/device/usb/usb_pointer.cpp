#include "device/usb/usb_pointer.h"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <array>

#include "spec/usb/hid.h"

namespace mynah {
namespace {

// Buttons 1 to 5 and three bits of padding, common to both report descriptors [HID 1.11 6.2.2].
#define MYNAH_HID_BUTTONS                                                          \
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05,    /* usage page buttons, usages 1 to 5 */ \
        0x15, 0x00, 0x25, 0x01,            /* logical 0 to 1 */                    \
        0x95, 0x05, 0x75, 0x01,            /* five of one bit */                   \
        0x81, 0x02,                        /* input: data, variable, absolute */   \
        0x95, 0x01, 0x75, 0x03, 0x81, 0x01 /* padding: constant */
// Wheel and horizontal wheel (consumer page, AC pan), relative.
#define MYNAH_HID_WHEELS                                                                      \
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, \
        0x01, 0x81, 0x06, 0x05, 0x0c, 0x0a, 0x38, 0x02, 0x81, 0x06

std::vector<uint8_t> mouse_reports() {
    return {
        0x05,
        0x01,
        0x09,
        0x02,
        0xa1,
        0x01,  // generic desktop, mouse, application
        0x09,
        0x01,
        0xa1,
        0x00,  // pointer, physical
        MYNAH_HID_BUTTONS,
        0x05,
        0x01,
        0x09,
        0x30,
        0x09,
        0x31,  // X, Y
        0x15,
        0x81,
        0x25,
        0x7f,
        0x75,
        0x08,
        0x95,
        0x02,  // -127 to 127, two bytes
        0x81,
        0x06,  // input: data, variable, relative
        MYNAH_HID_WHEELS,
        0xc0,
        0xc0,
    };
}

std::vector<uint8_t> tablet_reports() {
    return {
        0x05,
        0x01,
        0x09,
        0x02,
        0xa1,
        0x01,  // generic desktop, mouse, application
        0x09,
        0x01,
        0xa1,
        0x00,  // pointer, physical
        MYNAH_HID_BUTTONS,
        0x05,
        0x01,
        0x09,
        0x30,
        0x09,
        0x31,  // X, Y
        0x15,
        0x00,
        0x26,
        0xff,
        0x7f,
        0x35,
        0x00,
        0x46,
        0xff,
        0x7f,  // 0 to 7fffh
        0x75,
        0x10,
        0x95,
        0x02,
        0x81,
        0x02,  // two words, absolute
        MYNAH_HID_WHEELS,
        0xc0,
        0xc0,
    };
}

UsbDescription mouse_description() {
    UsbDescription mouse;
    mouse.vendor = 0x1209;  // pid.codes; products 0001h to 0010h are for use within a laboratory
    mouse.product = 0x0001;
    mouse.name = "USB Mouse";
    mouse.serial = "1";
    mouse.interface_subclass = usb::hid::kSubclassBoot;
    mouse.interface_protocol = usb::hid::kProtocolMouse;
    return mouse;
}

UsbDescription tablet_description() {
    UsbDescription tablet;
    tablet.vendor = 0x1209;
    tablet.product = 0x0002;
    tablet.name = "USB Tablet";
    tablet.serial = "1";
    return tablet;
}

constexpr std::array<uint16_t, 5> kButtons{BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA};
constexpr int32_t kFarthest = 1 << 20;  // what relative movements may add up to while nobody asks

int32_t clamp_step(int32_t value) { return std::clamp(value, -127, 127); }
int32_t add(int32_t sum, int32_t delta) {
    return std::clamp(sum + std::clamp(delta, -kFarthest, kFarthest), -kFarthest, kFarthest);
}

}  // namespace

bool UsbPointer::apply(const HidEvent& event, State& to) const {
    switch (event.kind) {
        case HidEvent::Kind::kKey:
            for (unsigned i = 0; i < kButtons.size(); ++i) {
                if (kButtons[i] != event.code) continue;
                const auto bit = static_cast<uint8_t>(1u << i);
                to.buttons =
                    static_cast<uint8_t>(event.value != 0 ? to.buttons | bit : to.buttons & ~bit);
                return true;
            }
            return false;
        case HidEvent::Kind::kRelative:
            if (event.code == REL_WHEEL) to.wheel = add(to.wheel, event.value);
            if (event.code == REL_HWHEEL) to.pan = add(to.pan, event.value);
            if (!absolute() && event.code == REL_X) to.x = add(to.x, event.value);
            if (!absolute() && event.code == REL_Y) to.y = add(to.y, event.value);
            return event.code == REL_WHEEL || event.code == REL_HWHEEL || !absolute();
        case HidEvent::Kind::kAbsolute: {
            if (!absolute()) return false;
            const int32_t value = std::clamp(event.value, 0, HidEvent::kAbsoluteMax);
            if (event.code == ABS_X) to.x = value;
            if (event.code == ABS_Y) to.y = value;
            return true;
        }
    }
    return false;
}

void UsbPointer::move_to(uint16_t x, uint16_t y) {
    // Half of the sinks' range.
    const HidEvent place[] = {{HidEvent::Kind::kAbsolute, ABS_X, x / 2},
                              {HidEvent::Kind::kAbsolute, ABS_Y, y / 2}};
    events(place);
}

void UsbPointer::move_by(int dx, int dy) {
    const HidEvent movement[] = {{HidEvent::Kind::kRelative, REL_X, dx},
                                 {HidEvent::Kind::kRelative, REL_Y, dy}};
    events(movement);
}

void UsbPointer::button(PointerButton button, bool pressed) {
    // In the order of PointerButton.
    static constexpr std::array<uint16_t, kPointerButtons> kCodes{BTN_LEFT, BTN_MIDDLE, BTN_RIGHT,
                                                                  BTN_SIDE, BTN_EXTRA};
    const HidEvent event{HidEvent::Kind::kKey, kCodes.at(static_cast<size_t>(button)),
                         pressed ? 1 : 0};
    events({&event, 1});
}

void UsbPointer::wheel(int vertical, int horizontal) {
    const HidEvent turn[] = {{HidEvent::Kind::kRelative, REL_WHEEL, vertical},
                             {HidEvent::Kind::kRelative, REL_HWHEEL, horizontal}};
    events(turn);
}

void UsbPointer::events(std::span<const HidEvent> batch) {
    {
        MutexLock lock(mutex_);
        State next = last_;
        bool changed = false;
        for (const HidEvent& event : batch) changed |= apply(event, next);
        if (!changed) return;
        if (!configured()) {  // nobody to tell; where it is, and what is down, is kept
            keep(next);
            return;
        }
        const bool merges = !queue_.empty() &&
                            (queue_.back().buttons == next.buttons || queue_.size() >= kMaxQueued);
        if (!merges) {
            queue_.push_back(next);
        } else {
            State& newest = queue_.back();
            newest.buttons = next.buttons;
            newest.x = absolute() ? next.x : add(newest.x, next.x);
            newest.y = absolute() ? next.y : add(newest.y, next.y);
            newest.wheel = add(newest.wheel, next.wheel);
            newest.pan = add(newest.pan, next.pan);
        }
        keep(next);
    }
    wake();
}

// The state that later events change: what moved is told once.
void UsbPointer::keep(const State& state) {
    last_ = state;
    last_.wheel = last_.pan = 0;
    if (!absolute()) last_.x = last_.y = 0;
}

std::vector<uint8_t> UsbPointer::current_report() const { return report(last_); }

std::optional<std::vector<uint8_t>> UsbPointer::next_report() {
    if (queue_.empty()) return std::nullopt;
    std::vector<uint8_t> bytes = report(queue_.front());
    if (!take_report(queue_.front())) queue_.pop_front();
    return bytes;
}

void UsbPointer::forget() { queue_.clear(); }

UsbMouse::UsbMouse(VmClock& clock) : UsbPointer(clock, mouse_description(), mouse_reports(), 5) {}

std::vector<uint8_t> UsbMouse::report(const State& state) const {
    const auto byte = [](int32_t value) { return static_cast<uint8_t>(clamp_step(value)); };
    if (uses_boot_protocol()) {
        return {static_cast<uint8_t>(state.buttons & 7), byte(state.x), byte(state.y)};
    }
    return {state.buttons, byte(state.x), byte(state.y), byte(state.wheel), byte(state.pan)};
}

bool UsbMouse::take_report(State& state) const {
    if (uses_boot_protocol()) state.wheel = state.pan = 0;
    for (int32_t* value : {&state.x, &state.y, &state.wheel, &state.pan}) {
        *value -= clamp_step(*value);
    }
    return (state.x | state.y | state.wheel | state.pan) != 0;
}

UsbTablet::UsbTablet(VmClock& clock)
    : UsbPointer(clock, tablet_description(), tablet_reports(), 7) {}

std::vector<uint8_t> UsbTablet::report(const State& state) const {
    return {state.buttons,
            static_cast<uint8_t>(state.x),
            static_cast<uint8_t>(state.x >> 8),
            static_cast<uint8_t>(state.y),
            static_cast<uint8_t>(state.y >> 8),
            static_cast<uint8_t>(clamp_step(state.wheel)),
            static_cast<uint8_t>(clamp_step(state.pan))};
}

bool UsbTablet::take_report(State& state) const {
    state.wheel -= clamp_step(state.wheel);
    state.pan -= clamp_step(state.pan);
    return (state.wheel | state.pan) != 0;
}

}  // namespace mynah
