#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/display/damage.h"
#include "backend/display/input_sink.h"
#include "backend/display/rfb_encoder.h"
#include "backend/display/vnc_password.h"

namespace mynah {

// What all viewers of one screen have in common.
struct RfbSettings {
    std::string name = {};                     // of the machine
    std::optional<std::string> password = {};  // nothing: everybody may look
    // Whether a password may be tried now, and what came of it.
    std::function<bool()> may_try = [] { return true; };
    std::function<void(bool passed)> tried = [](bool) {};
    // A viewer wants a picture of this size; false: that cannot be.
    std::function<bool(uint32_t width, uint32_t height)> resize = [](uint32_t, uint32_t) {
        return false;
    };
    // Text that a viewer put on its clipboard.
    std::function<void(const std::string&)> clipboard = [](const std::string&) {};
};

// One viewer of the screen, as RFC 6143 has it: from its greeting to its last update. Bytes in,
// bytes out, no sockets. A viewer can make it hold kMessageMost bytes and a list of keys; what is
// no message of the protocol ends it. Served: versions 3.3 to 3.8, no security or the VNC password,
// Raw and Tight, pictures that change their size, also by the viewer's wish, QEMU's extended key
// events, the clipboard in Latin-1. Single-threaded.
class RfbSession {
  public:
    static constexpr size_t kMessageMost = 4 + 4 * 65535;  // the longest list of encodings
    static constexpr size_t kTextMost = 64 * 1024;         // of clipboard text; the rest is dropped

    // The references outlive the session. width and height: of the picture now.
    RfbSession(const RfbSettings& settings, InputSink& input, uint32_t width, uint32_t height);
    // What the viewer held down is released.
    ~RfbSession();
    RfbSession(const RfbSession&) = delete;
    RfbSession& operator=(const RfbSession&) = delete;

    // Bytes the viewer sent. False: the connection is over once output() is sent.
    [[nodiscard]] bool receive(std::span<const std::byte> bytes);
    // Parts of the picture that changed.
    void add(const Damage& damage) { damage_.add(damage); }
    // True if the viewer asked for an update that it did not get yet.
    bool wants_update() const { return requested_; }
    // Sends what it has not seen, if there is any.
    void update(const Surface& surface);
    void send_text(const std::string& text);

    // To be sent; whoever sends it clears it.
    std::vector<std::byte>& output() { return output_; }
    bool ready() const { return state_ == State::kReady; }

  private:
    enum class State : uint8_t { kVersion, kSecurity, kPassword, kInit, kReady, kOver };

    // Each takes one message from the front of input_; returns its length, or 0: it is incomplete
    // or the session is over.
    size_t take_message();
    size_t take_version();
    size_t take_security();
    size_t take_password();
    size_t take_init();
    size_t take_pixel_format();
    size_t take_encodings();
    size_t take_update_request();
    size_t take_key_event();
    size_t take_pointer_event();
    size_t take_cut_text();
    size_t take_qemu();
    size_t take_desktop_size();

    size_t over() {
        state_ = State::kOver;
        return 0;
    }
    void begin_password();
    void security_passed();
    void security_failed(const std::string& reason);
    void key(uint16_t code, bool pressed);
    void symbol(uint32_t keysym, bool pressed);
    void buttons(uint8_t mask);
    bool send_size_change(const Surface& surface);
    void out_size(uint16_t reason, uint16_t status);

    // The message that is taken lies in input_ from begin_ on.
    size_t available() const { return input_.size() - begin_; }
    const std::byte* front() const { return input_.data() + begin_; }
    uint32_t in8(size_t at) const { return static_cast<uint32_t>(input_[begin_ + at]); }
    uint32_t in16(size_t at) const { return in8(at) << 8 | in8(at + 1); }
    uint32_t in32(size_t at) const { return in16(at) << 16 | in16(at + 2); }
    void out8(uint32_t value) { output_.push_back(static_cast<std::byte>(value)); }
    void out16(uint32_t value) {
        out8(value >> 8 & 0xff);
        out8(value & 0xff);
    }
    void out32(uint32_t value) {
        out16(value >> 16);
        out16(value & 0xffff);
    }
    void out_text(const std::string& text);

    const RfbSettings& settings_;
    InputSink& input_sink_;
    State state_ = State::kVersion;
    unsigned version_ = 8;  // the minor one
    VncChallenge challenge_{};
    std::vector<std::byte> input_, output_;
    size_t begin_ = 0;
    uint64_t text_to_skip_ = 0;

    RfbEncoder encoder_;
    bool resizes_ = false;    // the viewer follows changes of size
    bool asks_size_ = false;  // it may ask for one, and wants to hear of the screens
    // An answer to that: reason and status.
    std::optional<std::pair<uint16_t, uint16_t>> size_answer_;
    bool tell_keys_ = false;  // it is to be told that extended key events are understood
    bool keys_told_ = false;
    bool requested_ = false;
    uint32_t width_, height_;  // what the viewer believes
    Damage damage_;
    std::bitset<0x300> held_keys_;
    bool caps_lock_ = false;  // the viewer pressed it an odd number of times
    uint8_t held_buttons_ = 0;
};

}  // namespace mynah
