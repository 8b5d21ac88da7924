#pragma once

#include <array>
#include <cstdint>

namespace mynah {

// The keyboard controller of a PC/AT (8042 with IBM's program), after the IBM PS/2 technical
// reference [8042].
// Modelled: command byte and memory, self and interface tests, output port with A20 and reset,
// pulse commands, loop-back of bytes into both output buffers, the answer to a byte sent to a
// device that is not there (FEh with the time-out bit).
// Left out: keyboard and mouse themselves; the auxiliary port has no connector and its test says
// so.
// Single-threaded; KeyboardController is the attachment.
class I8042 {
 public:
    // What a write asks of the world outside the chip.
    struct Action {
        bool reset = false;
        bool set_a20 = false;
        bool a20 = false;
    };

    void reset();

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
    void answer(uint8_t byte, bool aux = false, bool timed_out = false);
    uint8_t& config() { return memory_[0]; }
    uint8_t config() const { return memory_[0]; }

    std::array<uint8_t, 32> memory_{};
    uint8_t output_ = 0;   // the output buffer
    uint8_t status_ = 0x10;
    uint8_t output_port_ = 0x03;
    uint8_t expecting_ = 0;  // command whose data byte comes next; 0: the keyboard's
};

}  // namespace mynah
