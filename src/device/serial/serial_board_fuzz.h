#pragma once

#include <string>

#include "device/serial/serial_port.h"
#include "testing/byte_board.h"
#include "testing/recording_line.h"
#include "testing/scripted_character_backend.h"

namespace mynah::testing {

// A serial port under a guest that does anything while somebody types.
inline void drive_serial_port(std::span<const uint8_t> bytes) {
    ByteBoard board;
    RecordingLine irq;
    ScriptedCharacterBackend backend;
    SerialPort port(board.clock(), irq, backend);
    board.add(port, 8);
    board.add([&](ByteSource& source) { backend.type(std::string(source.take(1), 'x')); });
    board.add([&](ByteSource&) { port.reset(); });
    board.run(bytes);
}

}  // namespace mynah::testing
