#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace mynah {

// One counter of an 8254, computed from the number of input clocks that went by instead of
// counted: what it shows is right no matter when it is asked. Modes 0 to 5, binary and BCD.
// Differs from silicon: a count written in mode 3 takes effect at the end of the whole period,
// not of the half.
class Pit8254Counter {
 public:
    // All times are in input clocks since power-up and never decrease.
    void set_control(unsigned mode, unsigned access, bool bcd, uint64_t now);
    void write(uint8_t value, uint64_t now);
    uint8_t read(uint64_t now);
    void latch_count(uint64_t now);
    void latch_status(uint64_t now);
    void set_gate(bool level, uint64_t now);
    bool gate() const { return gate_; }

    bool output(uint64_t now);
    // When the output next rises after `now`; nothing if it will not without being touched.
    std::optional<uint64_t> next_rise(uint64_t now);
    // Input clocks from one rise to the next in modes 2 and 3; nothing in other modes or
    // while not counting.
    std::optional<uint64_t> period(uint64_t now);
    uint32_t count(uint64_t now);  // the counting element, binary
    unsigned mode() const { return mode_; }
    bool periodic() const { return mode_ == 2 || mode_ == 3; }
    // Changes whenever the times that next_rise() and period() told no longer hold.
    uint32_t generation() const { return generation_; }

 private:
    enum class Access : uint8_t { kLow = 1, kHigh = 2, kLowHigh = 3 };

    uint32_t modulus() const { return bcd_ ? 10000 : 0x10000; }
    uint32_t reload_count() const { return reload_ == 0 ? modulus() : reload_; }
    uint16_t encode(uint32_t count) const;  // BCD if the counter is
    uint32_t decode(uint16_t value) const;
    void write_count(uint16_t value, uint64_t now);
    void load(uint64_t now);
    void settle(uint64_t now);
    uint64_t elapsed(uint64_t now) const;
    // In modes 1 and 5 the gate only triggers.
    bool stopped_by_gate() const { return !gate_ && mode_ != 1 && mode_ != 5; }

    unsigned mode_ = 0;
    Access access_ = Access::kLowHigh;
    bool bcd_ = false;
    bool gate_ = true;
    bool counting_ = false;  // the counting element was loaded since the control word
    bool written_ = false;   // a count was written since the control word
    uint32_t reload_ = 0;    // the count register; 0 stands for the modulus
    uint32_t current_ = 0x10000;  // the count the element was loaded with
    uint64_t start_ = 0;     // when it was loaded, moved on by the time the gate was low
    uint64_t stopped_ = 0;   // when the gate went low
    std::optional<uint64_t> switch_at_;  // when a count written meanwhile takes effect
    std::optional<uint8_t> low_byte_;    // first byte of a two-byte write
    bool second_byte_ = false;           // of a two-byte read
    std::optional<uint16_t> latched_;
    std::optional<uint8_t> status_;
    uint32_t generation_ = 0;
};

// The programmable interval timer of a PC, after Intel 8254 [8254]: three counters on a clock of
// kHz. Single-threaded; IntervalTimer is the attachment.
class Pit8254 {
 public:
    static constexpr uint64_t kHz = 1193182;

    // Input clocks that went by in so many nanoseconds, and when a clock comes.
    static uint64_t clocks_at(uint64_t ns);
    static uint64_t ns_at(uint64_t clocks);  // rounded up

    void reset(uint64_t now);
    // offset 0 to 2: the counters; 3: the control word (write only).
    uint8_t read(unsigned offset, uint64_t now);
    void write(unsigned offset, uint8_t value, uint64_t now);

    Pit8254Counter& counter(unsigned index) { return counters_[index]; }

 private:
    void read_back(uint8_t command, uint64_t now);
    std::array<Pit8254Counter, 3> counters_;
};

}  // namespace mynah
