#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "bus/interrupt_line.h"

namespace mynah {

// Interrupt bits that share one level-triggered line: high while any bit is set. Bits are set
// and acknowledged on any thread, and the line ends at the level that belongs to the last state.
//
// Whoever acknowledges the last bit waits until the line is low: a thread that is raising it may
// not get to run for long on a busy host, and the guest would meanwhile be interrupted without a
// reason until it turns the interrupt off.
class InterruptStatus {
  public:
    explicit InterruptStatus(InterruptLine& line) : line_(line) {}

    uint32_t bits() const { return bits_.load(std::memory_order_acquire); }
    void raise(uint32_t bits) EXCLUDES(line_mutex_);
    void acknowledge(uint32_t bits) EXCLUDES(line_mutex_);

  private:
    void update_line() EXCLUDES(line_mutex_);

    InterruptLine& line_;
    std::atomic<uint32_t> bits_{0};
    Mutex line_mutex_;  // held while the line is set, which calls nobody back
};

}  // namespace mynah
