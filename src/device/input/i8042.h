#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "device/input/ps2_device.h"

namespace mynah {

// The keyboard controller of a PC/AT (8042 with IBM's program), after the IBM PS/2 technical
// reference [8042].
// Modelled: command byte and memory, self and interface tests, output port with A20 and reset,
// pulse commands, loop-back of bytes into both output buffers, keyboard and mouse at its ports,
// translation of the keyboard's codes, the answer to a byte sent to a device that is not there (FEh
// with the time-out bit).
// Single-threaded; KeyboardController is the attachment.
class I8042 {
  public:
    // What a write asks of the world outside the chip.
    struct Action {
        bool reset = false;
        bool set_a20 = false;
        bool a20 = false;
    };

    // Null: nothing is plugged in. Without a mouse the auxiliary port has no connector, and its
    // test says so.
    explicit I8042(Ps2Device* keyboard = nullptr, Ps2Device* mouse = nullptr)
        : keyboard_(keyboard), mouse_(mouse) {}

    void reset();

    // Takes the next byte of a device into the output buffer, if that is free and one may send.
    void load();
    // True if load() would have something.
    bool can_load() const;

    uint8_t read_data();
    uint8_t read_status() const;
    [[nodiscard]] Action write_data(uint8_t value);
    [[nodiscard]] Action write_command(uint8_t value);
    // The wire as it is, which the output port shows.
    void set_a20(bool enabled);

    bool keyboard_interrupt() const;
    bool aux_interrupt() const;

  private:
    [[nodiscard]] Action write_output_port(uint8_t value);
    // From the controller itself: what a device sent and nobody read waits until this was read.
    void answer(uint8_t byte, bool aux = false, bool timed_out = false);
    void fill(uint8_t byte, bool aux, bool timed_out);
    void send_to(Ps2Device* device, uint8_t value, bool aux);
    bool full() const;
    bool keyboard_may_send() const;
    bool mouse_may_send() const;
    uint8_t& config() { return memory_[0]; }
    uint8_t config() const { return memory_[0]; }

    struct Byte {
        uint8_t value;
        bool aux;
    };

    Ps2Device* keyboard_;
    Ps2Device* mouse_;
    std::optional<Byte> displaced_;  // a device's byte that an answer went before
    bool from_device_ = false;       // what is in the output buffer
    uint8_t break_ = 0;              // 80h: the next code is that of a key that came up
    std::array<uint8_t, 32> memory_{};
    uint8_t output_ = 0;  // the output buffer
    uint8_t status_ = 0x10;
    uint8_t output_port_ = 0x03;
    uint8_t expecting_ = 0;  // command whose data byte comes next; 0: the keyboard's
};

}  // namespace mynah
