#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace mynah {

// The real-time clock of a PC, after Motorola MC146818A [MC146818], with 128 bytes of memory and
// the century in byte 32h as PC firmware places it.
// Modelled: time and calendar in BCD and binary, 12 and 24 hours, alarm with wildcards, periodic,
// alarm and update-ended interrupt, update-in-progress, SET, divider reset.
// Left out: daylight saving, square-wave output, other crystals than 32.768 kHz. The weekday
// follows the date, whatever is written to it.
// The time of day is computed from the time that went by, so a clock that is read late is right.
// Single-threaded; RealTimeClock is the attachment.
class Mc146818 {
 public:
    static constexpr unsigned kBytes = 128;

    // Unix time (UTC) at now_ns 0 of the clock that the other functions are told: seconds, and the
    // nanoseconds of the running one.
    explicit Mc146818(int64_t unix_seconds, uint32_t nanoseconds = 0);

    void reset(uint64_t now_ns);  // the RESET pin: interrupts off, time and memory kept

    uint8_t read(uint8_t index, uint64_t now_ns);
    void write(uint8_t index, uint8_t value, uint64_t now_ns);
    // Memory bytes from kFirstMemory on, for firmware's configuration data.
    void set_memory(uint8_t index, uint8_t value);

    // Sets the flags of what happened until now_ns (once per kind, however late the call).
    void advance(uint64_t now_ns);
    bool interrupt() const { return (c_ & 0x80) != 0; }
    // When an enabled interrupt is due next; nothing if none is enabled.
    std::optional<uint64_t> next_event_ns(uint64_t now_ns) const;
    // Period of the periodic interrupt in 1/32768 s; 0: off.
    uint32_t periodic_clocks() const;

    int64_t unix_seconds(uint64_t now_ns) const;

 private:
    struct Calendar {
        int second, minute, hour, weekday, day, month, year;  // weekday 1 is Sunday
    };
    bool stopped_by_registers() const;
    void stop_or_start(bool divider_was_reset, uint64_t now_ns);
    void start_from(const Calendar& from, int64_t base_ns);
    int64_t second_start(uint64_t now_ns) const;
    Calendar calendar(uint64_t now_ns) const;
    std::optional<uint8_t> read_calendar(uint8_t index, uint64_t now_ns) const;
    bool write_calendar(uint8_t index, uint8_t value, uint64_t now_ns);
    uint8_t encode(int value) const;
    int decode(uint8_t value) const;
    uint8_t encode_hour(int hour) const;
    int decode_hour(uint8_t value) const;
    std::optional<int64_t> next_alarm(int64_t after) const;
    void raise(uint8_t flag);

    std::array<uint8_t, kBytes> memory_{};
    uint8_t a_, b_, c_ = 0;
    int64_t base_seconds_;      // the time of day at base_ns_, in seconds since 1970
    int64_t base_ns_ = 0;       // may be negative: the fraction of a running second
    Calendar held_{};           // the time of day while SET or the divider reset stops it
    bool stopped_ = false;
    uint64_t advanced_ns_ = 0;  // flags are right up to here
};

}  // namespace mynah
