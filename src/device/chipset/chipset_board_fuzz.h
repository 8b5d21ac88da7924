#pragma once

#include "device/chipset/acpi_power_management.h"
#include "device/chipset/post_code_port.h"
#include "device/chipset/reset_control.h"
#include "device/input/keyboard_controller.h"
#include "testing/byte_board.h"
#include "testing/recording_line.h"

namespace mynah::testing {

// The small ports of a PC and its keyboard controller under a guest that does anything.
inline void drive_chipset(std::span<const uint8_t> bytes) {
    class NoPower final : public PowerSink {
     public:
        void power_off() override {}
        void reset() override {}
    };
    ByteBoard board;
    NoPower power;
    A20Gate a20;
    RecordingLine sci, irq1, irq12;
    AcpiPowerManagement acpi(board.clock(), sci, power, AcpiFixedHardware::TimerWidth::k24);
    KeyboardController keyboard(irq1, irq12, a20, power);
    ResetControl reset(power);
    SystemControlPortA port_a(a20, power);
    PostCodePort post;
    board.add(acpi, acpi::kBlockBytes);
    board.add(keyboard.data_port(), 1);
    board.add(keyboard.command_port(), 1);
    board.add(reset, 1);
    board.add(port_a, 1);
    board.add(post, 1);
    board.add([&](ByteSource&) { acpi.press_power_button(); });
    board.add([&](ByteSource& source) { acpi.raise_event(static_cast<unsigned>(source.take(1))); });
    board.run(bytes);
}

}  // namespace mynah::testing
