#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "device/timer/hpet_registers.h"

namespace mynah {

// High precision event timers [HPET]: a main counter and three comparators, all of 64 bits, all
// periodic if the guest likes, with level and edge interrupts and legacy replacement.
// Left out: interrupts as messages. Ticks of a periodic timer that the host was late for are made
// up for, at twice their rate, as far as they are not older than half a second.
// Single-threaded; EventTimers is the attachment.
class Hpet {
  public:
    void reset();

    uint64_t read(unsigned offset, uint64_t now_ns) const;  // whole registers: offset % 8 == 0
    void write(unsigned offset, uint64_t value, uint64_t mask, uint64_t now_ns);

    // Fires what is due.
    void advance(uint64_t now_ns);
    // When something is due next.
    std::optional<uint64_t> next_event_ns(uint64_t now_ns) const;

    bool legacy_replacement() const;
    // Where a timer's interrupt goes: 0 and 8 for the ISA requests, else a pin of the I/O APIC.
    unsigned route(unsigned timer) const;
    bool level_triggered(unsigned timer) const;
    bool level(unsigned timer) const;  // of a level-triggered one
    // True once for every edge.
    bool take_edge(unsigned timer);

  private:
    struct Timer {
        uint64_t config = 0, comparator = ~uint64_t{0}, period = 0;
        uint64_t earliest_ns = 0;  // not before: late ticks keep a distance
        bool armed = false;        // one-shot: has not fired since the comparator was written
        bool edge = false;
    };

    bool enabled() const { return (config_ & hpet::configuration::kEnable) != 0; }
    uint64_t counter(uint64_t now_ns) const;
    std::optional<uint64_t> ticks_left(const Timer& timer, uint64_t count) const;
    void write_timer(unsigned number, unsigned part, uint64_t value, uint64_t mask);
    void write_comparator(Timer& timer, uint64_t value);
    void fire(unsigned number, uint64_t now_ns);
    void step_period(Timer& timer, uint64_t now_ns);

    uint64_t config_ = 0, status_ = 0;
    uint64_t count_ = 0;     // at start_ns_, or while the counter stands
    uint64_t start_ns_ = 0;  // when the counter was started
    std::array<Timer, hpet::kTimerCount> timers_;
};

}  // namespace mynah
