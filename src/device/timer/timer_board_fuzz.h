#pragma once

#include "device/timer/interval_timer.h"
#include "device/timer/real_time_clock.h"
#include "testing/byte_board.h"
#include "testing/recording_line.h"

namespace mynah::testing {

// The timers of a PC under a guest that does anything.
inline void drive_timers(std::span<const uint8_t> bytes) {
    ByteBoard board;
    RecordingLine irq0, irq8;
    IntervalTimer timer(board.clock(), irq0);
    RealTimeClock rtc(board.clock(), irq8, 1'793'326'496);
    board.add(timer.ports(), 4);
    board.add(timer.port_b(), 1);
    board.add(rtc.ports(), 2);
    board.add([&](ByteSource&) { timer.reset(); });
    board.add([&](ByteSource&) { rtc.reset(); });
    board.run(bytes);
}

}  // namespace mynah::testing
