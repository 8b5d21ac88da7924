#pragma once

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "bus/vm_clock.h"
#include "device/timer/mc146818.h"

namespace mynah {

// Puts an Mc146818 into a PC: index and data port, interrupt request 8. Bit 7 of the index port
// (NMI mask) is stored nowhere: there is no NMI source to mask. Any thread.
class RealTimeClock {
 public:
    // The host's wall time (UTC) when clock.now_ns() was 0: Unix seconds, and the nanoseconds of
    // the running one.
    RealTimeClock(VmClock& clock, InterruptLine& irq8, int64_t unix_seconds,
                  uint32_t nanoseconds = 0);
    ~RealTimeClock();

    IoHandler& ports() { return ports_; }  // two ports, 70h on a PC
    // A byte of CMOS memory, for the board (memory size, boot order).
    void set_memory(uint8_t index, uint8_t value) EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

 private:
    uint8_t read(unsigned offset) EXCLUDES(mutex_);
    void write(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    void update(uint64_t now_ns) REQUIRES(mutex_);
    void fired() EXCLUDES(mutex_);

    VmClock& clock_;
    LineDriver irq8_;
    Mutex mutex_;
    Mc146818 chip_ GUARDED_BY(mutex_);
    uint8_t index_ GUARDED_BY(mutex_) = 0;
    ByteWindow<RealTimeClock> ports_;
    std::unique_ptr<VmTimer> wake_;  // last: its callback uses everything above
};

}  // namespace mynah
