#pragma once

#include "device/timer/event_timers.h"
#include "device/timer/interval_timer.h"
#include "device/timer/real_time_clock.h"
#include "testing/byte_board.h"
#include "testing/recording_line.h"

namespace mynah::testing {

// The timers of a PC under a guest that does anything.
inline void drive_timers(std::span<const uint8_t> bytes) {
    ByteBoard board;
    RecordingLine irq0, irq8, gsis[4];
    EventTimers events(board.clock(), {irq0, irq8, {&gsis[0], &gsis[1], &gsis[2], &gsis[3]}});
    IntervalTimer timer(board.clock(), events.irq0_input());
    RealTimeClock rtc(board.clock(), events.irq8_input(), 1'793'326'496);
    board.add(events, hpet::kWindowBytes, 8);
    board.add(timer.ports(), 4);
    board.add(timer.port_b(), 1);
    board.add(rtc.ports(), 2);
    board.add([&](ByteSource&) { timer.reset(); });
    board.add([&](ByteSource&) { rtc.reset(); });
    board.add([&](ByteSource&) { events.reset(); });
    board.run(bytes);
}

}  // namespace mynah::testing
