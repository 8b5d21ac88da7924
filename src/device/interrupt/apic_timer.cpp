#include "device/interrupt/apic_timer.h"


namespace mynah {
namespace {

using Wide = unsigned __int128;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

// Bits 3, 1 and 0 of the divide configuration register [SDM 3A figure 10-10].
constexpr uint32_t kDivideBits = 0xb;

}  // namespace

void ApicTimer::reset() { *this = ApicTimer(frequency_hz_); }

uint64_t ApicTimer::divisor() const {
    const uint32_t code = (divide_ & 3) | (divide_ & 8) >> 1;
    return code == 7 ? 1 : uint64_t{2} << code;
}

uint64_t ApicTimer::ns_of(uint64_t counts) const {
    const Wide clocks = Wide{counts} * divisor();
    return static_cast<uint64_t>((clocks * kNsPerSecond + frequency_hz_ - 1) / frequency_hz_);
}

uint64_t ApicTimer::counts_in(uint64_t ns) const {
    return static_cast<uint64_t>(Wide{ns} * frequency_hz_ / (Wide{kNsPerSecond} * divisor()));
}

void ApicTimer::start(uint32_t counts, uint64_t now_ns) {
    pacer_.stop();
    counting_ = counts != 0;
    if (!counting_) return;
    start_ns_ = now_ns;
    start_count_ = counts;
    expiry_ns_ = now_ns + ns_of(counts);
    if (mode_ != Mode::kPeriodic) return;
    // The exact period as a fraction, unless it is so long that the nanosecond is exact enough.
    const Wide numerator = Wide{initial_count_} * divisor() * kNsPerSecond;
    if (numerator <= ~uint64_t{0}) {
        pacer_.start(expiry_ns_, static_cast<uint64_t>(numerator), frequency_hz_);
    } else {
        pacer_.start(expiry_ns_, ns_of(initial_count_), 1);
    }
}

uint32_t ApicTimer::current_count(uint64_t now_ns) const {
    if (!counting_ || mode_ == Mode::kTscDeadline) return 0;
    const uint64_t elapsed = now_ns > start_ns_ ? counts_in(now_ns - start_ns_) : 0;
    if (elapsed < start_count_) return static_cast<uint32_t>(start_count_ - elapsed);
    if (mode_ == Mode::kOneShot) return 0;
    return static_cast<uint32_t>(initial_count_ - (elapsed - start_count_) % initial_count_);
}

void ApicTimer::set_mode(Mode mode, uint64_t now_ns) {
    if (mode == mode_) return;
    const bool deadline_involved = mode == Mode::kTscDeadline || mode_ == Mode::kTscDeadline;
    const uint32_t current = current_count(now_ns);
    mode_ = mode;
    deadline_tsc_ = 0;
    if (deadline_involved) {
        initial_count_ = 0;
        start(0, now_ns);
    } else {
        start(current, now_ns);
    }
}

void ApicTimer::set_divide(uint32_t configuration, uint64_t now_ns) {
    const uint32_t current = current_count(now_ns);
    divide_ = configuration & kDivideBits;
    if (mode_ != Mode::kTscDeadline) start(current, now_ns);
}

void ApicTimer::set_initial_count(uint32_t count, uint64_t now_ns) {
    if (mode_ == Mode::kTscDeadline) return;  // ignored [SDM 3A 10.5.4.1]
    initial_count_ = count;
    start(count, now_ns);
}

void ApicTimer::resume(uint32_t initial, uint32_t current, uint64_t now_ns) {
    if (mode_ == Mode::kTscDeadline) return;
    initial_count_ = initial;
    start(initial == 0 ? 0 : current, now_ns);
}

void ApicTimer::set_deadline(uint64_t tsc, uint64_t deadline_ns) {
    if (mode_ != Mode::kTscDeadline) return;
    deadline_tsc_ = tsc;
    deadline_ns_ = deadline_ns;
}

std::optional<uint64_t> ApicTimer::next_ns() const {
    switch (mode_) {
        case Mode::kOneShot: return counting_ ? std::optional(expiry_ns_) : std::nullopt;
        case Mode::kPeriodic:
            return pacer_.running() ? std::optional(pacer_.next_ns()) : std::nullopt;
        case Mode::kTscDeadline:
            return deadline_tsc_ != 0 ? std::optional(deadline_ns_) : std::nullopt;
    }
    return std::nullopt;
}

bool ApicTimer::expire(uint64_t now_ns) {
    const std::optional<uint64_t> next = next_ns();
    if (!next || now_ns < *next) return false;
    switch (mode_) {
        case Mode::kOneShot: counting_ = false; break;
        case Mode::kPeriodic: pacer_.tick(now_ns); break;
        case Mode::kTscDeadline: deadline_tsc_ = 0; break;
    }
    return true;
}

}  // namespace mynah
