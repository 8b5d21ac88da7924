#include "backend/display/rfb_session.h"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <cstring>

#include "backend/display/key_symbols.h"
#include "backend/display/rfb_protocol.h"

namespace mynah {

using namespace rfb;

RfbSession::RfbSession(const RfbSettings& settings, InputSink& input, uint32_t width,
                       uint32_t height)
    : settings_(settings), input_sink_(input), width_(width), height_(height) {
    damage_.resize(width, height);
    for (size_t i = 0; i < kVersionBytes; ++i) out8(static_cast<uint8_t>(kVersion[i]));
}

RfbSession::~RfbSession() {
    for (size_t code = 0; code < held_keys_.size(); ++code) {
        if (held_keys_[code]) input_sink_.key(static_cast<uint16_t>(code), false);
    }
    buttons(0);
}

bool RfbSession::receive(std::span<const std::byte> bytes) {
    if (state_ == State::kOver) return false;
    const size_t skipped = std::min<uint64_t>(text_to_skip_, bytes.size());
    text_to_skip_ -= skipped;
    bytes = bytes.subspan(skipped);
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    begin_ = 0;
    while (available() > 0) {
        const size_t taken = take_message();
        if (taken == 0) break;
        begin_ += taken;
    }
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
    if (input_.size() > kMessageMost) over();
    return state_ != State::kOver;
}

size_t RfbSession::take_message() {
    switch (state_) {
        case State::kVersion:
            return take_version();
        case State::kSecurity:
            return take_security();
        case State::kPassword:
            return take_password();
        case State::kInit:
            return take_init();
        case State::kOver:
            return 0;
        case State::kReady:
            break;
    }
    switch (static_cast<FromViewer>(in8(0))) {
        case FromViewer::kSetPixelFormat:
            return take_pixel_format();
        case FromViewer::kSetEncodings:
            return take_encodings();
        case FromViewer::kUpdateRequest:
            return take_update_request();
        case FromViewer::kKeyEvent:
            return take_key_event();
        case FromViewer::kPointerEvent:
            return take_pointer_event();
        case FromViewer::kCutText:
            return take_cut_text();
        case FromViewer::kSetDesktopSize:
            return take_desktop_size();
        case FromViewer::kQemu:
            return take_qemu();
    }
    return over();
}

// --- Greeting [RFC 6143 7.1 to 7.3].

void RfbSession::out_text(const std::string& text) {
    out32(static_cast<uint32_t>(text.size()));
    for (const char character : text) out8(static_cast<uint8_t>(character));
}

size_t RfbSession::take_version() {
    // Garbage is noticed at its first byte.
    const size_t there = std::min(available(), kVersionBytes);
    if (std::memcmp(front(), kVersion, std::min<size_t>(there, 4)) != 0) return over();
    if (there < kVersionBytes) return 0;
    const auto digit = [&](size_t at) { return in8(at) - '0'; };
    for (const size_t at : {4, 5, 6, 8, 9, 10}) {
        if (digit(at) > 9) return over();
    }
    if (in8(7) != '.' || in8(11) != '\n' || digit(6) < 3) return over();
    // Versions that never were are taken for 3.3 [RFC 6143 7.1.1].
    const unsigned minor = digit(8) * 100 + digit(9) * 10 + digit(10);
    version_ = digit(6) > 3 || minor == 8 ? 8 : minor == 7 ? 7 : 3;
    const Security type = settings_.password ? Security::kVncPassword : Security::kNone;
    if (version_ == 3) {  // the server decides
        out32(static_cast<uint32_t>(type));
        if (type == Security::kVncPassword) {
            begin_password();
        } else {
            state_ = State::kInit;
        }
    } else {
        out8(1);
        out8(static_cast<uint32_t>(type));
        state_ = State::kSecurity;
    }
    return kVersionBytes;
}

size_t RfbSession::take_security() {
    // Nothing but what was offered.
    const auto type = static_cast<Security>(in8(0));
    if (type != (settings_.password ? Security::kVncPassword : Security::kNone)) {
        security_failed("this kind of security was not offered");
        return 0;
    }
    if (type == Security::kVncPassword) {
        begin_password();
    } else if (version_ == 8) {
        security_passed();
    } else {
        state_ = State::kInit;
    }
    return 1;
}

void RfbSession::begin_password() {
    challenge_ = make_vnc_challenge();
    output_.insert(output_.end(), challenge_.begin(), challenge_.end());
    state_ = State::kPassword;
}

void RfbSession::security_passed() {
    out32(0);
    state_ = State::kInit;
}

void RfbSession::security_failed(const std::string& reason) {
    out32(1);
    if (version_ == 8) out_text(reason);
    over();
}

size_t RfbSession::take_password() {
    if (available() < challenge_.size()) return 0;
    if (!settings_.may_try()) {
        security_failed("too many wrong passwords, try again later");
        return 0;
    }
    const VncChallenge expected = answer_vnc_challenge(challenge_, *settings_.password);
    const std::span<const std::byte, 16> given(front(), 16);
    const bool passed = same_answer(expected, given);
    settings_.tried(passed);
    if (!passed) {
        security_failed("wrong password");
        return 0;
    }
    security_passed();
    return challenge_.size();
}

size_t RfbSession::take_init() {
    // Everybody shares, whatever the viewer wants.
    out16(width_);
    out16(height_);
    encoder_.format().append_to(output_);
    out_text(settings_.name);
    state_ = State::kReady;
    return 1;
}

// --- Messages [RFC 6143 7.5].

size_t RfbSession::take_pixel_format() {
    if (available() < 20) return 0;
    const auto format = RfbPixelFormat::parse(std::span<const std::byte, 16>(front() + 4, 16));
    if (!format) return over();
    encoder_.set_format(*format);
    damage_.add_all();
    return 20;
}

size_t RfbSession::take_encodings() {
    if (available() < 4) return 0;
    const size_t length = 4 + 4 * size_t{in16(2)};
    if (available() < length) return 0;
    // The first that we know is the one the viewer likes best.
    std::optional<RfbEncoder::Encoding> best;
    bool keys = false;
    resizes_ = false;
    asks_size_ = false;
    for (size_t at = 4; at < length; at += 4) {
        const auto encoding = static_cast<int32_t>(in32(at));
        if (encoding == 0 && !best) best = RfbEncoder::Encoding::kRaw;
        if (encoding == kTight && !best) best = RfbEncoder::Encoding::kTight;
        if (encoding == kDesktopSize) resizes_ = true;
        if (encoding == kExtendedDesktopSize) resizes_ = asks_size_ = true;
        if (encoding == kExtendedKeyEvent) keys = true;
    }
    // By this the viewer knows that it may ask.
    if (asks_size_) size_answer_ = {kByServer, kSizeTaken};
    encoder_.set_encoding(best.value_or(RfbEncoder::Encoding::kRaw));
    tell_keys_ = keys && !keys_told_;
    return length;
}

// Whatever part is asked for, all that changed is sent.
size_t RfbSession::take_update_request() {
    if (available() < 10) return 0;
    requested_ = true;
    if (in8(1) == 0) {
        damage_.add({in16(2), in16(4), in16(6), in16(8)});
        if (asks_size_ && !size_answer_) size_answer_ = {kByServer, kSizeTaken};
    }
    return 10;
}

void RfbSession::key(uint16_t code, bool pressed) {
    if (code == 0 || code >= held_keys_.size()) return;
    held_keys_[code] = pressed;
    input_sink_.key(code, pressed);
}

// Programs that type send 'A' and no Shift: it is pressed for them. People's viewers send both, and
// with Caps Lock on they send 'A' for a key that makes an 'A'.
void RfbSession::symbol(uint32_t keysym, bool pressed) {
    const uint16_t code = key_of_symbol(keysym);
    if (code == KEY_CAPSLOCK && pressed && !held_keys_[code]) caps_lock_ = !caps_lock_;
    const bool letter = keysym >= 'A' && keysym <= 'Z';
    const bool shift = pressed && needs_shift(keysym) && !(letter && caps_lock_) &&
                       !held_keys_[KEY_LEFTSHIFT] && !held_keys_[KEY_RIGHTSHIFT];
    if (shift) key(KEY_LEFTSHIFT, true);
    key(code, pressed);
    if (shift) key(KEY_LEFTSHIFT, false);
}

size_t RfbSession::take_key_event() {
    if (available() < 8) return 0;
    symbol(in32(4), in8(1) != 0);
    return 8;
}

void RfbSession::buttons(uint8_t mask) {
    const unsigned changed = mask ^ held_buttons_;
    constexpr std::array<PointerButton, 3> kButtons{PointerButton::kLeft, PointerButton::kMiddle,
                                                    PointerButton::kRight};
    for (unsigned i = 0; i < kButtons.size(); ++i) {
        if ((changed >> i & 1) != 0) input_sink_.button(kButtons[i], (mask >> i & 1) != 0);
    }
    // A wheel's notch is a button that goes down and up again.
    const auto notch = [&](unsigned button) { return (changed & mask) >> button & 1; };
    const int vertical = static_cast<int>(notch(kWheelUp)) - static_cast<int>(notch(kWheelDown));
    const int horizontal =
        static_cast<int>(notch(kWheelRight)) - static_cast<int>(notch(kWheelLeft));
    if (vertical != 0 || horizontal != 0) input_sink_.wheel(vertical, horizontal);
    held_buttons_ = mask;
}

size_t RfbSession::take_pointer_event() {
    if (available() < 6) return 0;
    const InputSink::Place place{in16(2), in16(4), std::max(width_, 1u), std::max(height_, 1u)};
    input_sink_.point(place);
    buttons(static_cast<uint8_t>(in8(1)));
    return 6;
}

size_t RfbSession::take_cut_text() {
    if (available() < 8) return 0;
    const uint64_t length = in32(4);
    // More than this is cut off.
    const size_t kept = std::min<uint64_t>(length, kTextMost);
    if (available() < 8 + kept) return 0;
    std::string text;
    for (size_t i = 0; i < kept; ++i) text.push_back(static_cast<char>(in8(8 + i)));
    settings_.clipboard(text);
    const uint64_t rest = length - kept;
    const size_t here = std::min<uint64_t>(rest, available() - 8 - kept);
    text_to_skip_ = rest - here;
    return 8 + kept + here;
}

size_t RfbSession::take_qemu() {
    if (available() < 2) return 0;
    if (in8(1) != kQemuKeyEvent) return over();
    if (available() < 12) return 0;
    // Without a code, the symbol tells the key.
    const uint32_t code = in32(8);
    if (code != 0) {
        key(key_of_set1_code(code), in16(2) != 0);
    } else {
        symbol(in32(4), in16(2) != 0);
    }
    return 12;
}

// The screens it would like are not looked at: there is one, of the whole size.
size_t RfbSession::take_desktop_size() {
    constexpr size_t kScreenBytes = 16;
    if (available() < 8) return 0;
    const size_t length = 8 + kScreenBytes * in8(6);
    if (available() < length) return 0;
    const uint32_t width = in16(2), height = in16(4);
    uint16_t status = kBadLayout;
    if (width > 0 && height > 0)
        status = settings_.resize(width, height) ? kForwarded : kProhibited;
    size_answer_ = {kByThisViewer, status};
    return length;
}

// --- To the viewer [RFC 6143 7.6].

void RfbSession::send_text(const std::string& text) {
    if (state_ != State::kReady) return;
    out8(static_cast<uint32_t>(ToViewer::kCutText));
    for (int i = 0; i < 3; ++i) out8(0);
    out_text(text.substr(0, kTextMost));
}

// True if the update is used up for telling the new size; all of the picture follows in the next.
bool RfbSession::send_size_change(const Surface& surface) {
    if (!resizes_ || (surface.width() == width_ && surface.height() == height_)) return false;
    width_ = surface.width();
    height_ = surface.height();
    damage_.resize(width_, height_);
    damage_.add_all();
    out8(static_cast<uint32_t>(ToViewer::kUpdate));
    out8(0);
    out16(1);
    out_size(kByServer, kSizeTaken);
    return true;
}

// A rectangle that tells the size: plain, or with the one screen that there is.
void RfbSession::out_size(uint16_t reason, uint16_t status) {
    out16(asks_size_ ? reason : 0u);
    out16(asks_size_ ? status : 0u);
    out16(width_);
    out16(height_);
    out32(static_cast<uint32_t>(asks_size_ ? kExtendedDesktopSize : kDesktopSize));
    if (!asks_size_) return;
    out32(1u << 24);  // one screen, and padding
    out32(0);         // its number and place
    out32(0);
    out16(width_);
    out16(height_);
    out32(0);
}

void RfbSession::update(const Surface& surface) {
    if (state_ != State::kReady || !requested_) return;
    if (send_size_change(surface)) {
        requested_ = false;
        return;
    }
    if (damage_.empty() && !tell_keys_ && !size_answer_) return;
    damage_.resize(surface.width(), surface.height());
    const size_t head = output_.size();
    out8(static_cast<uint32_t>(ToViewer::kUpdate));
    out8(0);
    out16(0);  // how many: known at the end
    unsigned count = 0;
    if (tell_keys_) {
        for (int i = 0; i < 4; ++i) out16(0);
        out32(static_cast<uint32_t>(kExtendedKeyEvent));
        tell_keys_ = false;
        keys_told_ = true;
        ++count;
    }
    if (size_answer_) {
        if (asks_size_) {
            out_size(size_answer_->first, size_answer_->second);
            ++count;
        }
        size_answer_.reset();
    }
    // A viewer that does not follow sees what lies within the size it knows.
    const uint32_t right = std::min(width_, surface.width());
    const uint32_t bottom = std::min(height_, surface.height());
    for (Rect rect : damage_.rects()) {
        if (rect.x >= right || rect.y >= bottom) continue;
        rect.width = std::min(rect.width, right - rect.x);
        rect.height = std::min(rect.height, bottom - rect.y);
        count += encoder_.encode(surface, rect, output_);
    }
    damage_.clear();
    if (count == 0) {
        output_.resize(head);
        return;
    }
    output_[head + 2] = static_cast<std::byte>(count >> 8);
    output_[head + 3] = static_cast<std::byte>(count);
    requested_ = false;
}

}  // namespace mynah
