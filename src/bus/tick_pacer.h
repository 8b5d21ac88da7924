#pragma once

#include <cstdint>

namespace mynah {

// When the ticks of a periodic timer are due, on a host whose threads run late. Late ticks are made
// up for, so that a guest which counts them keeps time, but never closer together than half a
// period, and at most kMaxBacklogNs worth of them: what a guest that was stopped for longer
// missed is gone. Single-threaded.
class TickPacer {
 public:
    static constexpr uint64_t kMaxBacklogNs = 500'000'000;

    // The first tick is due at first_ns, then every period (num/den nanoseconds, den > 0; a period
    // below kMinPeriodNs is stretched to it, so that a guest cannot keep the host busy).
    static constexpr uint64_t kMinPeriodNs = 20'000;
    void start(uint64_t first_ns, uint64_t period_numerator_ns, uint64_t period_denominator);
    void stop() { running_ = false; }
    bool running() const { return running_; }

    // When to deliver next.
    uint64_t next_ns() const { return next_ns_; }
    // Call at or after next_ns(): one tick is delivered now; computes the following next_ns().
    void tick(uint64_t now_ns);
    // Ticks that are due and were not delivered yet.
    uint64_t backlog(uint64_t now_ns) const;
    // Ticks given up because the backlog was too long.
    uint64_t dropped() const { return dropped_; }

 private:
    uint64_t due_ns(uint64_t tick) const;  // ideal time of tick number `tick`

    bool running_ = false;
    uint64_t first_ns_ = 0;
    uint64_t numerator_ = 1, denominator_ = 1;
    uint64_t delivered_ = 0;  // ticks delivered or dropped
    uint64_t next_ns_ = 0;
    uint64_t dropped_ = 0;
};

}  // namespace mynah
