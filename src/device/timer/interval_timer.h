#pragma once

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "bus/tick_pacer.h"
#include "bus/vm_clock.h"
#include "device/timer/pit8254.h"

namespace mynah {

// Puts a Pit8254 into a PC: ports, the output of counter 0 as interrupt request 0, and port 61h
// with the gate and output of counter 2 (port B of the PC/AT's 8255 [ICH10 13.7.1]). Ticks that
// came late are made up for by TickPacer. The speaker is silent, the refresh bit toggles with
// the clock, NMI status bits read 0. Any thread.
class IntervalTimer {
 public:
    IntervalTimer(VmClock& clock, InterruptLine& irq0);
    ~IntervalTimer();

    IoHandler& ports() { return ports_; }    // four ports, 40h on a PC
    IoHandler& port_b() { return port_b_; }  // one port, 61h

    void reset() EXCLUDES(mutex_);

 private:
    uint8_t read_chip(unsigned offset) EXCLUDES(mutex_);
    void write_chip(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint8_t read_port_b(unsigned offset) EXCLUDES(mutex_);
    void write_port_b(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint64_t clocks() const { return Pit8254::clocks_at(clock_.now_ns()); }
    void update() REQUIRES(mutex_);
    void fired() EXCLUDES(mutex_);

    VmClock& clock_;
    LineDriver irq0_;
    Mutex mutex_;
    Pit8254 chip_ GUARDED_BY(mutex_);
    TickPacer pacer_ GUARDED_BY(mutex_);  // runs in modes 2 and 3
    uint32_t generation_ GUARDED_BY(mutex_) = 0;  // of counter 0, as it is scheduled
    uint8_t port_b_bits_ GUARDED_BY(mutex_) = 0;
    ByteWindow<IntervalTimer> ports_, port_b_;
    std::unique_ptr<VmTimer> wake_;  // last: its callback uses everything above
};

}  // namespace mynah
