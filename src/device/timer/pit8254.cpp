#include "device/timer/pit8254.h"

#include <algorithm>

namespace mynah {
namespace {

using Wide = unsigned __int128;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

// Control word and read-back command [8254, control word format, read-back command].
constexpr unsigned kSelectShift = 6, kAccessShift = 4, kModeShift = 1;
constexpr uint8_t kReadBack = 3, kBcd = 0x01;
constexpr uint8_t kReadBackNoCount = 0x20, kReadBackNoStatus = 0x10;
constexpr uint8_t kStatusOutput = 0x80, kStatusNullCount = 0x40;

}  // namespace

// --- Pit8254Counter.

uint16_t Pit8254Counter::encode(uint32_t count) const {
    if (!bcd_) return static_cast<uint16_t>(count);
    return static_cast<uint16_t>(count / 1000 % 10 << 12 | count / 100 % 10 << 8 |
                                 count / 10 % 10 << 4 | count % 10);
}

uint32_t Pit8254Counter::decode(uint16_t value) const {
    if (!bcd_) return value;
    const uint32_t count =
        (value >> 12) * 1000u + (value >> 8 & 15) * 100u + (value >> 4 & 15) * 10u + (value & 15);
    return count % modulus();  // digits above nine are undefined
}

uint64_t Pit8254Counter::elapsed(uint64_t now) const {
    const uint64_t until = stopped_by_gate() ? stopped_ : now;
    return until > start_ ? until - start_ : 0;
}

// A count written while modes 2 and 3 run takes effect at the end of the period.
void Pit8254Counter::settle(uint64_t now) {
    if (!switch_at_ || stopped_by_gate() || now < *switch_at_) return;
    start_ = *switch_at_;
    current_ = reload_count();
    switch_at_.reset();
    ++generation_;
}

// The count register goes to the counting element with the next clock.
void Pit8254Counter::load(uint64_t now) {
    current_ = reload_count();
    start_ = now + 1;
    if (!gate_) stopped_ = start_;
    counting_ = true;
    switch_at_.reset();
    ++generation_;
}

void Pit8254Counter::set_control(unsigned mode, unsigned access, bool bcd, uint64_t now) {
    settle(now);
    mode_ = mode > 5 ? mode - 4 : mode;  // 6 and 7 are 2 and 3
    access_ = static_cast<Access>(access);
    bcd_ = bcd;
    counting_ = written_ = second_byte_ = false;
    low_byte_.reset();
    latched_.reset();
    status_.reset();
    switch_at_.reset();
    ++generation_;
}

void Pit8254Counter::write(uint8_t value, uint64_t now) {
    settle(now);
    switch (access_) {
        case Access::kLow: write_count(value, now); return;
        case Access::kHigh: write_count(static_cast<uint16_t>(value << 8), now); return;
        case Access::kLowHigh: break;
    }
    if (!low_byte_) {
        low_byte_ = value;
        // The first byte stops mode 0 with the output low.
        if (mode_ == 0) {
            counting_ = false;
            ++generation_;
        }
        return;
    }
    const auto both = static_cast<uint16_t>(*low_byte_ | value << 8);
    low_byte_.reset();
    write_count(both, now);
}

void Pit8254Counter::write_count(uint16_t value, uint64_t now) {
    reload_ = decode(value);
    written_ = true;
    switch (mode_) {
        case 0:
        case 4: load(now); break;
        case 2:
        case 3:
            if (!counting_) {
                load(now);
            } else if (gate_) {
                // With the gate low its rise loads the new count anyway.
                const uint64_t periods = elapsed(now) / current_ + 1;
                switch_at_ = start_ + periods * current_;
                ++generation_;
            }
            break;
        default: break;  // 1 and 5 wait for a trigger
    }
}

void Pit8254Counter::set_gate(bool level, uint64_t now) {
    settle(now);
    if (level == gate_) return;
    if (!level) {
        stopped_ = std::max(now, start_);
        gate_ = false;
        ++generation_;
        return;
    }
    gate_ = true;
    ++generation_;
    const bool triggers = mode_ == 1 || mode_ == 2 || mode_ == 3 || mode_ == 5;
    if (triggers && written_) {
        load(now);
    } else if (!triggers && now > stopped_) {
        start_ += now - stopped_;
    }
}

uint32_t Pit8254Counter::count(uint64_t now) {
    settle(now);
    if (!counting_) return current_ % modulus();
    const uint64_t passed = elapsed(now);
    const uint32_t n = current_;
    if (mode_ == 2) return (n - static_cast<uint32_t>(passed % n)) % modulus();
    if (mode_ == 3) {
        // Counts down by two, twice per period; the high half is longer by one clock if odd.
        const uint32_t position = static_cast<uint32_t>(passed % n);
        const uint32_t high = (n + 1) / 2;
        const uint32_t within = position < high ? position : position - high;
        const uint32_t even = n & ~1u;
        return (even > 2 * within ? even - 2 * within : 0) % modulus();
    }
    return (n % modulus() + modulus() - static_cast<uint32_t>(passed % modulus())) % modulus();
}

bool Pit8254Counter::output(uint64_t now) {
    settle(now);
    if (!counting_) return mode_ != 0;
    const uint64_t passed = elapsed(now);
    switch (mode_) {
        case 0: return passed >= current_;
        case 1: return now >= start_ ? passed >= current_ : true;
        case 2: return !gate_ || passed % current_ != current_ - 1;
        case 3: return !gate_ || passed % current_ < (current_ + 1) / 2;
        default: return passed != current_;
    }
}

std::optional<uint64_t> Pit8254Counter::next_rise(uint64_t now) {
    settle(now);
    if (!counting_ || stopped_by_gate()) return std::nullopt;
    uint64_t rise;
    switch (mode_) {
        case 0:
        case 1: rise = start_ + current_; break;
        case 2:
        case 3: return start_ + (elapsed(now) / current_ + 1) * current_;
        default: rise = start_ + current_ + 1; break;
    }
    if (rise <= now) return std::nullopt;
    return rise;
}

std::optional<uint64_t> Pit8254Counter::period(uint64_t now) {
    settle(now);
    if (!counting_ || stopped_by_gate() || !periodic()) return std::nullopt;
    return current_;
}

void Pit8254Counter::latch_count(uint64_t now) {
    if (!latched_) latched_ = encode(count(now));
}

void Pit8254Counter::latch_status(uint64_t now) {
    if (status_) return;
    uint8_t status = output(now) ? kStatusOutput : 0;
    if (!counting_ || now < start_ || switch_at_) status |= kStatusNullCount;
    status_ = static_cast<uint8_t>(status | static_cast<unsigned>(access_) << kAccessShift |
                                   mode_ << kModeShift | (bcd_ ? kBcd : 0));
}

uint8_t Pit8254Counter::read(uint64_t now) {
    if (status_) {
        const uint8_t status = *status_;
        status_.reset();
        return status;
    }
    const uint16_t value = latched_ ? *latched_ : encode(count(now));
    const auto low = static_cast<uint8_t>(value);
    const auto high = static_cast<uint8_t>(value >> 8);
    if (access_ == Access::kLowHigh) {
        second_byte_ = !second_byte_;
        if (second_byte_) return low;
        latched_.reset();
        return high;
    }
    latched_.reset();
    return access_ == Access::kLow ? low : high;
}

// --- Pit8254.

uint64_t Pit8254::clocks_at(uint64_t ns) {
    return static_cast<uint64_t>(Wide{ns} * kHz / kNsPerSecond);
}

uint64_t Pit8254::ns_at(uint64_t clocks) {
    return static_cast<uint64_t>((Wide{clocks} * kNsPerSecond + kHz - 1) / kHz);
}

void Pit8254::reset(uint64_t now) {
    for (Pit8254Counter& counter : counters_) {
        counter.set_control(0, 3, false, now);
    }
}

uint8_t Pit8254::read(unsigned offset, uint64_t now) {
    return offset < 3 ? counters_[offset].read(now) : 0xff;
}

void Pit8254::write(unsigned offset, uint8_t value, uint64_t now) {
    if (offset < 3) {
        counters_[offset].write(value, now);
        return;
    }
    const unsigned select = value >> kSelectShift;
    if (select == kReadBack) {
        read_back(value, now);
        return;
    }
    const unsigned access = value >> kAccessShift & 3;
    if (access == 0) {
        counters_[select].latch_count(now);
    } else {
        counters_[select].set_control(value >> kModeShift & 7, access, (value & kBcd) != 0, now);
    }
}

void Pit8254::read_back(uint8_t command, uint64_t now) {
    for (unsigned i = 0; i < counters_.size(); ++i) {
        if ((command & (2u << i)) == 0) continue;
        if ((command & kReadBackNoCount) == 0) counters_[i].latch_count(now);
        if ((command & kReadBackNoStatus) == 0) counters_[i].latch_status(now);
    }
}

}  // namespace mynah
