#pragma once

#include <cstdint>
#include <optional>

#include "bus/tick_pacer.h"

namespace mynah {

// The count-down timer of a local APIC [SDM 3A 10.5.4]: initial count, divide configuration,
// one-shot, periodic and TSC-deadline mode. Arithmetic only: it is told the time and says when
// it expires. Counts follow from the time, so a guest that calibrates it gets the frequency it
// was told even if its thread was away. Single-threaded; LocalApic has the lock.
class ApicTimer {
 public:
    enum class Mode : uint8_t { kOneShot = 0, kPeriodic = 1, kTscDeadline = 2 };

    explicit ApicTimer(uint64_t frequency_hz) : frequency_hz_(frequency_hz) {}

    void reset();
    // Switching to or from TSC-deadline mode disarms [SDM 3A 10.5.4.1].
    void set_mode(Mode mode, uint64_t now_ns);
    void set_divide(uint32_t configuration, uint64_t now_ns);
    void set_initial_count(uint32_t count, uint64_t now_ns);
    // As set_initial_count() had it some time ago.
    void resume(uint32_t initial, uint32_t current, uint64_t now_ns);
    uint32_t initial_count() const { return initial_count_; }
    uint32_t divide_configuration() const { return divide_; }
    uint32_t current_count(uint64_t now_ns) const;
    Mode mode() const { return mode_; }

    // TSC-deadline mode only; 0 disarms. deadline_ns is when the guest's TSC reaches tsc.
    void set_deadline(uint64_t tsc, uint64_t deadline_ns);
    uint64_t deadline() const { return deadline_tsc_; }

    // When to call expire(); nothing if the timer is stopped.
    std::optional<uint64_t> next_ns() const;
    // True: an interrupt is due now. False: not yet (a stale wake-up).
    bool expire(uint64_t now_ns);

 private:
    uint64_t divisor() const;
    uint64_t ns_of(uint64_t counts) const;     // rounded up
    uint64_t counts_in(uint64_t ns) const;     // rounded down
    void start(uint32_t counts, uint64_t now_ns);

    uint64_t frequency_hz_;
    Mode mode_ = Mode::kOneShot;
    uint32_t initial_count_ = 0;
    uint32_t divide_ = 0;
    bool counting_ = false;
    uint64_t start_ns_ = 0;        // when start_count_ was there
    uint32_t start_count_ = 0;
    uint64_t expiry_ns_ = 0;       // one-shot
    TickPacer pacer_;              // periodic
    uint64_t deadline_tsc_ = 0;
    uint64_t deadline_ns_ = 0;
};

}  // namespace mynah
