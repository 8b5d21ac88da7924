#pragma once

#include <bitset>
#include <cstdint>
#include <span>

#include "device/input/ps2_device.h"

namespace mynah {

// An enhanced PS/2 keyboard with 102 keys and more [PS/2 TRM, keyboard; MS scan codes]: scan code
// sets 1, 2 and 3, all commands, its own typematic repetition, LEDs.
// Left out: the shift codes it puts around cursor keys depending on Num Lock and Shift (nothing
// that reads the E0h before them needs those).
// Single-threaded; time is told, and repeat_deadline() says when repeat() is due.
class Ps2Keyboard final : public Ps2Device {
  public:
    static constexpr uint64_t kNever = ~uint64_t{0};

    Ps2Keyboard() { set_defaults(); }

    // As after power-on, the result of its self-test already sent.
    void reset();

    // A key by Linux' number went down or up.
    void key(uint16_t code, bool pressed, uint64_t now_ns);
    uint64_t repeat_deadline() const { return repeat_at_; }
    void repeat(uint64_t now_ns);

    // Bit 0: Scroll Lock, 1: Num Lock, 2: Caps Lock.
    uint8_t leds() const { return leds_; }
    bool scanning() const { return scanning_; }

    void receive(uint8_t byte) override;
    bool has_byte() const override { return !answers_.empty() || !codes_.empty(); }
    uint8_t take_byte() override;

  private:
    enum class KeyType : uint8_t { kAll, kMakeBreak, kMakeOnly, kRepeat };

    void set_defaults();
    void answer(uint8_t byte) { answers_.push(byte); }
    void argument(uint8_t command, uint8_t byte);
    void command(uint8_t byte);
    void set_all_types(bool breaks, bool repeats);
    bool reserve(bool pressed) const;
    void send_code(uint16_t key, bool pressed);
    void send_set2(uint16_t key, bool pressed);
    void push_set2(std::span<const uint8_t> bytes);
    void send_set3(uint16_t key, bool pressed);
    bool held(uint16_t key) const { return held_[key]; }
    uint64_t repeat_delay() const;
    uint64_t repeat_period() const;

    static constexpr unsigned kKeys = 256;

    Ps2Queue<16> answers_;  // go before what keys sent
    // More than the sixteen bytes of a real one: a viewer that pastes types faster than bytes go.
    Ps2Queue<4096> codes_;
    uint8_t last_sent_ = 0;
    uint8_t expecting_ = 0;  // the command whose argument comes next; 0: none
    bool scanning_ = true;
    uint8_t set_ = 2, leds_ = 0, typematic_ = 0;
    std::bitset<kKeys> held_;
    std::bitset<256> no_break_, no_repeat_;  // set 3, by code
    uint16_t repeating_ = 0;                 // the key that repeats
    uint64_t repeat_at_ = kNever;
};

}  // namespace mynah
