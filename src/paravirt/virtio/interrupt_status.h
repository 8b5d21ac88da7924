#pragma once

#include <atomic>
#include <cstdint>

#include "bus/interrupt_line.h"

namespace mynah {

// Interrupt bits that share one level-triggered line: high while any bit is set. Bits are set
// and acknowledged on any thread without a lock, and the line ends at the level that belongs to
// the last state: whoever finds another thread at the line leaves the news to it.
class InterruptStatus {
  public:
    explicit InterruptStatus(InterruptLine& line) : line_(line) {}

    uint32_t bits() const { return bits_.load(std::memory_order_acquire); }
    void raise(uint32_t bits);
    void acknowledge(uint32_t bits);

  private:
    void update_line();

    InterruptLine& line_;
    std::atomic<uint32_t> bits_{0};
    std::atomic<uint32_t> updates_{0};  // 0: nobody is at the line
};

}  // namespace mynah
