#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "bus/interrupt_line.h"

namespace mynah {

// Drives an interrupt line from a device with a lock, without calling out under that lock.
// Several threads may change the wanted level one after another and flush in any order: the
// line sees alternating levels, ends at the last one wanted, and a short dip between two high
// levels is not lost (an edge-triggered input depends on it).
class LineDriver {
 public:
    // The line must outlive the driver and be low.
    explicit LineDriver(InterruptLine& line) : line_(line) {}
    LineDriver(const LineDriver&) = delete;
    LineDriver& operator=(const LineDriver&) = delete;

    // Under the device's lock.
    void want(bool level);
    // A low and a high level, whatever it was before: a rising edge that leaves the line high.
    void want_edge() {
        want(false);
        want(true);
    }
    // Outside the device's lock.
    void flush() EXCLUDES(mutex_);

 private:
    InterruptLine& line_;
    bool wanted_ = false;               // the device's lock guards it
    std::atomic<uint32_t> toggles_{0};  // level changes wanted and not yet driven
    std::atomic<bool> busy_{false};     // somebody is inside flush()
    Mutex mutex_;                       // orders the calls; never taken inside a device lock
    bool driven_ GUARDED_BY(mutex_) = false;
};

}  // namespace mynah
