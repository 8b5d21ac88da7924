#include "device/input/ps2_keyboard.h"

#include <linux/input-event-codes.h>

#include <array>
#include <initializer_list>

#include "device/input/ps2_registers.h"
#include "device/input/scan_codes.h"

namespace mynah {

using namespace ps2;

namespace {

constexpr uint8_t kExtended = 0xe0, kBreak = 0xf0, kPausePrefix = 0xe1;
// Room that a key's going down must leave, so that keys that are down can always come up.
constexpr unsigned kRoomForBreaks = 128;
constexpr uint64_t kMillisecond = 1'000'000;

}  // namespace

void Ps2Keyboard::set_defaults() {
    set_ = 2;
    typematic_ = keyboard::kDefaultTypematic;
    codes_.clear();
    repeat_at_ = kNever;
    no_break_.reset();
    no_repeat_.reset();
}

void Ps2Keyboard::reset() {
    set_defaults();
    answers_.clear();
    expecting_ = 0;
    leds_ = 0;
    scanning_ = true;
}

uint8_t Ps2Keyboard::take_byte() {
    const uint8_t byte = answers_.empty() ? codes_.pop() : answers_.pop();
    if (byte != kResend) last_sent_ = byte;
    return byte;
}

// --- Keys.

// [PS/2 TRM, set typematic rate]: bits 6-5 the delay, bits 4-0 the period.
uint64_t Ps2Keyboard::repeat_delay() const {
    return ((typematic_ >> 5 & 3u) + 1) * 250 * kMillisecond;
}
uint64_t Ps2Keyboard::repeat_period() const {
    return ((8u + (typematic_ & 7u)) << (typematic_ >> 3 & 3u)) * 4'170'000ull;
}

void Ps2Keyboard::key(uint16_t code, bool pressed, uint64_t now_ns) {
    if (code >= kKeys || scan_code(code).set2 == 0 || held_[code] == pressed) return;
    if (!reserve(pressed)) return;
    held_[code] = pressed;
    if (!pressed && code == repeating_) repeat_at_ = kNever;
    if (!scanning_) return;
    send_code(code, pressed);
    if (pressed) {
        repeating_ = code;
        const bool repeats = code != KEY_PAUSE && !(set_ == 3 && no_repeat_[scan_code(code).set3]);
        repeat_at_ = repeats ? now_ns + repeat_delay() : kNever;
    }
}

void Ps2Keyboard::repeat(uint64_t now_ns) {
    if (now_ns < repeat_at_) return;
    repeat_at_ = now_ns + repeat_period();
    // A system that does not read gets no more of the same.
    if (scanning_ && codes_.empty()) send_code(repeating_, true);
}

bool Ps2Keyboard::reserve(bool pressed) const {
    return !pressed || codes_.space() > kRoomForBreaks;
}

void Ps2Keyboard::send_code(uint16_t key, bool pressed) {
    if (set_ == 3) {
        send_set3(key, pressed);
    } else {
        send_set2(key, pressed);
    }
}

// Set 1 is what the controller makes of set 2, done here.
void Ps2Keyboard::push_set2(std::span<const uint8_t> bytes) {
    if (set_ == 2) {
        codes_.push(bytes);
        return;
    }
    std::array<uint8_t, 16> translated;
    size_t count = 0;
    uint8_t released = 0;
    for (const uint8_t byte : bytes) {
        if (byte == kBreak) {
            released = 0x80;
        } else {
            translated[count++] = translate_to_set1(byte) | released;
            released = 0;
        }
    }
    codes_.push(std::span(translated).first(count));
}

void Ps2Keyboard::send_set2(uint16_t key, bool pressed) {
    const auto push = [&](std::initializer_list<uint8_t> bytes) {
        push_set2(std::span(bytes.begin(), bytes.size()));
    };
    const bool control = held(KEY_LEFTCTRL) || held(KEY_RIGHTCTRL);
    if (key == KEY_PAUSE) {
        // It has no break code [MS scan codes, key 126].
        if (!pressed) return;
        if (control) {
            push({kExtended, 0x7e, kExtended, kBreak, 0x7e});
        } else {
            push({kPausePrefix, 0x14, 0x77, kPausePrefix, kBreak, 0x14, kBreak, 0x77});
        }
        return;
    }
    if (key == KEY_SYSRQ) {
        const bool alt = held(KEY_LEFTALT) || held(KEY_RIGHTALT);
        const bool shifted = control || held(KEY_LEFTSHIFT) || held(KEY_RIGHTSHIFT);
        if (alt) {
            pressed ? push({0x84}) : push({kBreak, 0x84});
        } else if (shifted) {
            pressed ? push({kExtended, 0x7c}) : push({kExtended, kBreak, 0x7c});
        } else if (pressed) {
            push({kExtended, 0x12, kExtended, 0x7c});
        } else {
            push({kExtended, kBreak, 0x7c, kExtended, kBreak, 0x12});
        }
        return;
    }
    const ScanCode code = scan_code(key);
    if (code.extended) {
        pressed ? push({kExtended, code.set2}) : push({kExtended, kBreak, code.set2});
    } else {
        pressed ? push({code.set2}) : push({kBreak, code.set2});
    }
}

void Ps2Keyboard::send_set3(uint16_t key, bool pressed) {
    const uint8_t code = scan_code(key).set3;
    if (code == 0) return;
    if (pressed) {
        codes_.push(code);
    } else if (!no_break_[code]) {
        codes_.push(std::array<uint8_t, 2>{kBreak, code});
    }
}

// --- Commands [PS/2 TRM, keyboard commands].

void Ps2Keyboard::receive(uint8_t byte) {
    const uint8_t waiting = expecting_;
    expecting_ = 0;
    // A command instead of an argument is a command.
    if (waiting != 0 && byte < keyboard::kFirstCommand) {
        argument(waiting, byte);
    } else {
        command(byte);
    }
}

void Ps2Keyboard::argument(uint8_t waiting, uint8_t byte) {
    switch (waiting) {
        case keyboard::kSetLeds:
            leds_ = byte & 7;
            answer(kAcknowledge);
            break;
        case keyboard::kScanCodeSet:
            answer(byte <= 3 ? kAcknowledge : kResend);
            if (byte == 0) answer(set_);
            if (byte >= 1 && byte <= 3) {
                set_ = byte;
                codes_.clear();
                repeat_at_ = kNever;
            }
            break;
        case keyboard::kSetTypematic:
            typematic_ = byte & 0x7f;
            answer(kAcknowledge);
            break;
        case keyboard::kKeyRepeat:
        case keyboard::kKeyMakeBreak:
        case keyboard::kKeyMake:
            // One key after the other, until a command comes.
            no_break_[byte] = waiting != keyboard::kKeyMakeBreak;
            no_repeat_[byte] = waiting != keyboard::kKeyRepeat;
            expecting_ = waiting;
            answer(kAcknowledge);
            break;
        default:
            break;
    }
}

void Ps2Keyboard::set_all_types(bool breaks, bool repeats) {
    breaks ? no_break_.reset() : no_break_.set();
    repeats ? no_repeat_.reset() : no_repeat_.set();
}

void Ps2Keyboard::command(uint8_t byte) {
    switch (byte) {
        case keyboard::kEcho:
            answer(keyboard::kEcho);
            return;
        case keyboard::kResendLast:
            answer(last_sent_);
            return;
        case keyboard::kIdentify:
            answer(kAcknowledge);
            answer(keyboard::kId1);
            answer(keyboard::kId2);
            return;
        case keyboard::kReset:
            reset();
            answer(kAcknowledge);
            answer(kSelfTestPassed);
            return;
        case keyboard::kSetLeds:
        case keyboard::kScanCodeSet:
        case keyboard::kSetTypematic:
            expecting_ = byte;
            break;
        case keyboard::kKeyRepeat:
        case keyboard::kKeyMakeBreak:
        case keyboard::kKeyMake:
            expecting_ = byte;
            codes_.clear();
            break;
        case keyboard::kEnable:
            scanning_ = true;
            codes_.clear();
            break;
        case keyboard::kDefaultsDisable:
            set_defaults();
            scanning_ = false;
            break;
        case keyboard::kDefaults:
            set_defaults();
            break;
        case keyboard::kAllRepeat:
            set_all_types(false, true);
            break;
        case keyboard::kAllMakeBreak:
            set_all_types(true, false);
            break;
        case keyboard::kAllMake:
            set_all_types(false, false);
            break;
        case keyboard::kAllRepeatMakeBreak:
            set_all_types(true, true);
            break;
        default:
            answer(kResend);
            return;
    }
    answer(kAcknowledge);
}

}  // namespace mynah
