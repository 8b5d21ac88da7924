#include "device/input/ps2_mouse.h"

#include <algorithm>
#include <cstdlib>

#include "device/input/ps2_registers.h"

namespace mynah {

using namespace ps2;

namespace {

// What is added up at most: a few screens.
constexpr int kMostMovement = 16'384;
constexpr int kMostNotches = 127;

constexpr uint8_t bit_of(PointerButton button) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(button));
}

int add(int sum, int more, int most) {
    return static_cast<int>(std::clamp<int64_t>(int64_t{sum} + more, -most, most));
}

// Takes what fits into one packet out of what has added up.
int take(int& sum, int least, int most) {
    const int part = std::clamp(sum, least, most);
    sum -= part;
    return part;
}

// [PS/2 TRM, set scaling 2:1].
int scaled(int value) {
    constexpr std::array<int, 6> kTable{0, 1, 1, 3, 6, 9};
    const int size = std::abs(value);
    const int result = size < 6 ? kTable[static_cast<size_t>(size)] : 2 * size;
    return value < 0 ? -result : result;
}

}  // namespace

void Ps2Mouse::set_defaults() {
    mode_ = Mode::kStream;
    reporting_ = double_scale_ = false;
    rate_ = mouse::kDefaultRate;
    resolution_ = mouse::kDefaultResolution;
    packet_.clear();
    dx_ = dy_ = dz_ = 0;
}

void Ps2Mouse::reset() {
    set_defaults();
    answers_.clear();
    expecting_ = 0;
    id_ = mouse::kStandardId;
    last_rates_ = {};
}

// --- Events.

void Ps2Mouse::move(int dx, int dy) {
    if (!reporting_ && mode_ == Mode::kStream) return;
    dx_ = add(dx_, dx, kMostMovement);
    dy_ = add(dy_, -std::clamp(dy, -kMostMovement, kMostMovement), kMostMovement);
}

void Ps2Mouse::button(PointerButton button, bool pressed) {
    if (pressed) {
        buttons_ |= bit_of(button);
    } else {
        buttons_ &= static_cast<uint8_t>(~bit_of(button));
    }
}

void Ps2Mouse::wheel(int notches) {
    if (id_ == mouse::kStandardId || (!reporting_ && mode_ == Mode::kStream)) return;
    dz_ = add(dz_, -std::clamp(notches, -kMostNotches, kMostNotches), kMostNotches);
}

bool Ps2Mouse::has_report() const {
    if (mode_ != Mode::kStream || !reporting_) return false;
    const uint8_t known = id_ == mouse::kFiveButtonsId ? 0x1f : 0x07;
    return dx_ != 0 || dy_ != 0 || dz_ != 0 || ((buttons_ ^ reported_buttons_) & known) != 0;
}

bool Ps2Mouse::has_byte() const { return !answers_.empty() || !packet_.empty() || has_report(); }

uint8_t Ps2Mouse::take_byte() {
    if (answers_.empty() && packet_.empty()) make_packet();
    const uint8_t byte = answers_.empty() ? packet_.pop() : answers_.pop();
    if (byte != kResend) last_sent_ = byte;
    return byte;
}

void Ps2Mouse::make_packet() {
    // Nine bits with sign; -256 is left out, as some drivers take it for none.
    int dx = take(dx_, -255, 255), dy = take(dy_, -255, 255);
    if (double_scale_ && mode_ == Mode::kStream) {
        dx = std::clamp(scaled(dx), -255, 255);
        dy = std::clamp(scaled(dy), -255, 255);
    }
    reported_buttons_ = buttons_;
    const auto pressed = [&](PointerButton button, uint8_t bits) {
        return (buttons_ & bit_of(button)) != 0 ? bits : uint8_t{0};
    };
    uint8_t first = mouse::kAlways;
    first |= pressed(PointerButton::kLeft, mouse::kLeft);
    first |= pressed(PointerButton::kRight, mouse::kRight);
    first |= pressed(PointerButton::kMiddle, mouse::kMiddle);
    if (dx < 0) first |= mouse::kXSign;
    if (dy < 0) first |= mouse::kYSign;
    packet_.push(first);
    packet_.push(static_cast<uint8_t>(dx));
    packet_.push(static_cast<uint8_t>(dy));
    if (id_ == mouse::kWheelId) {
        packet_.push(static_cast<uint8_t>(take(dz_, -127, 127)));
    } else if (id_ == mouse::kFiveButtonsId) {
        uint8_t last = static_cast<uint8_t>(take(dz_, -7, 7) & 0xf);
        last |= pressed(PointerButton::kSide, mouse::kSide);
        last |= pressed(PointerButton::kExtra, mouse::kExtra);
        packet_.push(last);
    } else {
        dz_ = 0;
    }
}

// --- Commands.

void Ps2Mouse::receive(uint8_t byte) {
    // A half-sent packet is dropped: the system would take its rest for an answer.
    packet_.clear();
    if (mode_ == Mode::kWrap && byte != mouse::kReset && byte != mouse::kLeaveWrap) {
        answer(byte);
        return;
    }
    const uint8_t waiting = expecting_;
    expecting_ = 0;
    if (waiting != 0) {
        argument(waiting, byte);
    } else {
        command(byte);
    }
}

void Ps2Mouse::argument(uint8_t waiting, uint8_t byte) {
    if (waiting == mouse::kSetResolution) {
        if (byte > 3) {
            answer(kResend);
            return;
        }
        resolution_ = byte;
    } else {
        sample_rate(byte);
    }
    answer(kAcknowledge);
}

void Ps2Mouse::sample_rate(uint8_t rate) {
    rate_ = rate;
    last_rates_ = {last_rates_[1], last_rates_[2], rate};
    constexpr std::array<uint8_t, 3> kAskWheel{200, 100, 80}, kAskFive{200, 200, 80};
    if (last_rates_ == kAskWheel && id_ == mouse::kStandardId) id_ = mouse::kWheelId;
    if (last_rates_ == kAskFive && id_ == mouse::kWheelId) id_ = mouse::kFiveButtonsId;
}

void Ps2Mouse::status() {
    const auto pressed = [&](PointerButton button) {
        return (buttons_ & bit_of(button)) != 0 ? 1u : 0u;
    };
    answer(static_cast<uint8_t>((mode_ == Mode::kRemote ? 0x40 : 0) | (reporting_ ? 0x20 : 0) |
                                (double_scale_ ? 0x10 : 0) | pressed(PointerButton::kLeft) << 2 |
                                pressed(PointerButton::kMiddle) << 1 |
                                pressed(PointerButton::kRight)));
    answer(resolution_);
    answer(rate_);
}

void Ps2Mouse::command(uint8_t byte) {
    if (byte == mouse::kResendLast) {
        answer(last_sent_);
        return;
    }
    answers_.clear();
    answer(kAcknowledge);
    switch (byte) {
        case mouse::kScale1:
            double_scale_ = false;
            break;
        case mouse::kScale2:
            double_scale_ = true;
            break;
        case mouse::kSetResolution:
        case mouse::kSetSampleRate:
            expecting_ = byte;
            break;
        case mouse::kStatus:
            status();
            break;
        case mouse::kStreamMode:
            mode_ = Mode::kStream;
            break;
        case mouse::kReadData:
            make_packet();
            break;
        case mouse::kLeaveWrap:
            if (mode_ == Mode::kWrap) mode_ = before_wrap_;
            break;
        case mouse::kWrapMode:
            before_wrap_ = mode_;
            mode_ = Mode::kWrap;
            break;
        case mouse::kRemoteMode:
            mode_ = Mode::kRemote;
            break;
        case mouse::kIdentify:
            answer(id_);
            break;
        case mouse::kEnable:
            reporting_ = true;
            break;
        case mouse::kDisable:
            reporting_ = false;
            break;
        case mouse::kDefaults:
            set_defaults();
            break;
        case mouse::kReset:
            reset();
            answer(kAcknowledge);
            answer(kSelfTestPassed);
            answer(mouse::kStandardId);
            break;
        default:
            answers_.clear();
            answer(kResend);
            break;
    }
}

}  // namespace mynah
