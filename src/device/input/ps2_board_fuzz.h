#pragma once

#include "device/input/keyboard_controller.h"
#include "testing/byte_board.h"
#include "testing/recording_line.h"

namespace mynah::testing {

// Keyboard controller with keyboard and mouse under a guest that does anything while somebody types
// and moves the mouse.
inline void drive_ps2(std::span<const uint8_t> bytes) {
    class NoPower final : public PowerSink {
      public:
        void power_off() override {}
        void reset() override {}
    };
    ByteBoard board;
    NoPower power;
    A20Gate a20;
    RecordingLine irq1, irq12;
    KeyboardController controller(irq1, irq12, a20, power, board.clock());
    board.add(controller.data_port(), 1);
    board.add(controller.command_port(), 1);
    board.add([&](ByteSource& source) {
        const uint64_t key = source.take(2);
        controller.keys().key(static_cast<uint16_t>(key >> 1 & 0x1ff), (key & 1) != 0);
    });
    board.add([&](ByteSource& source) {
        const auto dx = static_cast<int>(source.take(4)), dy = static_cast<int>(source.take(4));
        controller.pointer().move_by(dx, dy);
    });
    board.add([&](ByteSource& source) {
        const uint64_t button = source.take(1);
        controller.pointer().button(static_cast<PointerButton>((button >> 1) % kPointerButtons),
                                    (button & 1) != 0);
    });
    board.add([&](ByteSource& source) {
        controller.pointer().wheel(static_cast<int>(source.take(4)), 0);
    });
    board.add([&](ByteSource&) { controller.reset(); });
    board.run(bytes);
}

}  // namespace mynah::testing
