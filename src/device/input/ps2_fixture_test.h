#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "device/input/i8042_registers.h"
#include "device/input/keyboard_controller.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"

namespace mynah {

// A controller with keyboard and mouse, and a driver that waits for bytes.
class Ps2Test : public ::testing::Test {
  protected:
    class NoPower final : public PowerSink {
      public:
        void power_off() override {}
        void reset() override {}
    };
    using Bytes = std::vector<unsigned>;

    void command(uint8_t value) { controller.command_port().write(0, 1, value); }
    void data(uint8_t value) { controller.data_port().write(0, 1, value); }
    uint8_t status() { return static_cast<uint8_t>(controller.command_port().read(0, 1)); }
    uint8_t read() { return static_cast<uint8_t>(controller.data_port().read(0, 1)); }
    void to_mouse(uint8_t value) {
        command(0xd4);
        data(value);
    }
    void configure(uint8_t value) {
        command(0x60);
        data(value);
    }
    // Everything the keyboard, or the mouse, sends within the time of so many bytes.
    Bytes receive(bool aux = false, unsigned most = 64) {
        Bytes bytes;
        for (unsigned i = 0; i < most; ++i) {
            const uint8_t now = status();
            if ((now & i8042::status::kOutputFull) != 0) {
                EXPECT_EQ((now & i8042::status::kAuxiliary) != 0, aux);
                bytes.push_back(read());
            }
            clock.advance(KeyboardController::kByteNs);
        }
        return bytes;
    }
    Bytes from_mouse(unsigned most = 64) { return receive(true, most); }
    void key(uint16_t code, bool pressed) { controller.keys().key(code, pressed); }

    testing::ManualClock clock;
    testing::RecordingLine irq1, irq12;
    A20Gate a20;
    NoPower power;
    KeyboardController controller{irq1, irq12, a20, power, clock};
};

}  // namespace mynah
