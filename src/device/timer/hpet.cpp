#include "device/timer/hpet.h"

#include <algorithm>

namespace mynah {
namespace {

namespace timer_bits = hpet::timer;

using Wide = unsigned __int128;
constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kMaxBacklogNs = 500'000'000, kMinPeriodNs = 20'000;
// A deadline further away than this is nobody's concern; keeps the arithmetic in 64 bits.
constexpr uint64_t kFarTicks = uint64_t{1} << 48;

uint64_t ticks_of(uint64_t ns) {
    return static_cast<uint64_t>(Wide{ns} * hpet::kHz / kNsPerSecond);
}
uint64_t ns_of(uint64_t ticks) {
    return static_cast<uint64_t>((Wide{ticks} * kNsPerSecond + hpet::kHz - 1) / hpet::kHz);
}
uint64_t merged(uint64_t before, uint64_t value, uint64_t mask) {
    return (before & ~mask) | (value & mask);
}

}  // namespace

void Hpet::reset() { *this = Hpet(); }

uint64_t Hpet::counter(uint64_t now_ns) const {
    return enabled() ? count_ + ticks_of(now_ns - start_ns_) : count_;
}

bool Hpet::legacy_replacement() const {
    return (config_ & hpet::configuration::kLegacyReplacement) != 0;
}

unsigned Hpet::route(unsigned timer) const {
    if (legacy_replacement() && timer < 2) return timer == 0 ? 0 : 8;
    const auto pin = static_cast<unsigned>((timers_[timer].config & timer_bits::kRoute) >>
                                           timer_bits::kRouteShift);
    // Other pins are not there: the lowest one that is.
    return pin - timer_bits::kFirstGsi < timer_bits::kGsis ? pin : timer_bits::kFirstGsi;
}

bool Hpet::level_triggered(unsigned timer) const {
    return (timers_[timer].config & timer_bits::kLevel) != 0;
}

bool Hpet::level(unsigned timer) const {
    return level_triggered(timer) && (status_ >> timer & 1) != 0 &&
           (timers_[timer].config & timer_bits::kEnable) != 0;
}

bool Hpet::take_edge(unsigned timer) {
    const bool edge = timers_[timer].edge;
    timers_[timer].edge = false;
    return edge;
}

uint64_t Hpet::read(unsigned offset, uint64_t now_ns) const {
    switch (offset) {
        case hpet::kCapabilities:
            return hpet::kCapabilitiesValue;
        case hpet::kConfiguration:
            return config_;
        case hpet::kInterruptStatus:
            return status_;
        case hpet::kCounter:
            return counter(now_ns);
        default:
            break;
    }
    const unsigned number = (offset - hpet::kTimers) / hpet::kTimerStride;
    if (offset < hpet::kTimers || number >= timers_.size()) return 0;
    const Timer& timer = timers_[number];
    switch (offset % hpet::kTimerStride) {
        case hpet::kTimerConfiguration:
            return timer.config | timer_bits::kPeriodicCapable | timer_bits::k64BitCapable |
                   timer_bits::kRoutes;
        case hpet::kTimerComparator:
            return timer.comparator;
        default:
            return 0;
    }
}

void Hpet::write(unsigned offset, uint64_t value, uint64_t mask, uint64_t now_ns) {
    advance(now_ns);
    switch (offset) {
        case hpet::kConfiguration: {
            const uint64_t before = config_;
            const uint64_t after =
                merged(config_, value, mask) &
                (hpet::configuration::kEnable | hpet::configuration::kLegacyReplacement);
            if (((before ^ after) & hpet::configuration::kEnable) != 0) {
                count_ = counter(now_ns);
                start_ns_ = now_ns;
            }
            config_ = after;
            return;
        }
        case hpet::kInterruptStatus:
            status_ &= ~(value & mask);
            return;
        case hpet::kCounter:
            // Defined while the counter stands [HPET 2.3.7]; it goes on from there otherwise.
            count_ = merged(counter(now_ns), value, mask);
            start_ns_ = now_ns;
            return;
        default:
            break;
    }
    const unsigned number = (offset - hpet::kTimers) / hpet::kTimerStride;
    if (offset < hpet::kTimers || number >= timers_.size()) return;
    write_timer(number, offset % hpet::kTimerStride, value, mask);
}

void Hpet::write_timer(unsigned number, unsigned part, uint64_t value, uint64_t mask) {
    Timer& timer = timers_[number];
    if (part == hpet::kTimerConfiguration) {
        timer.config = merged(timer.config, value, mask) & timer_bits::kWritable;
        // [HPET 2.3.9.2.2]: what lies above 32 bits is forgotten.
        if ((timer.config & timer_bits::k32Bit) != 0) {
            timer.comparator &= UINT32_MAX;
            timer.period &= UINT32_MAX;
        }
        if (!level_triggered(number)) status_ &= ~(uint64_t{1} << number);
    } else if (part == hpet::kTimerComparator) {
        write_comparator(timer, merged(timer.comparator, value, mask));
    }
}

// [HPET 2.3.9.2.2]: a periodic timer's comparator is written with VAL_SET for the first interrupt,
// and then with the period.
void Hpet::write_comparator(Timer& timer, uint64_t value) {
    if ((timer.config & timer_bits::k32Bit) != 0) value &= UINT32_MAX;
    const bool periodic = (timer.config & timer_bits::kPeriodic) != 0;
    if (!periodic || (timer.config & timer_bits::kSetValue) != 0) timer.comparator = value;
    if (periodic) timer.period = value;
    timer.config &= ~timer_bits::kSetValue;
    timer.armed = true;
    timer.earliest_ns = 0;
}

// Until the counter meets the comparator; a periodic one may be overdue: 0.
std::optional<uint64_t> Hpet::ticks_left(const Timer& timer, uint64_t count) const {
    if (!enabled() || (timer.config & timer_bits::kEnable) == 0) return std::nullopt;
    const bool periodic = (timer.config & timer_bits::kPeriodic) != 0 && timer.period != 0;
    uint64_t left = timer.comparator - count;
    if ((timer.config & timer_bits::k32Bit) != 0) {
        const auto narrow = static_cast<int32_t>(static_cast<uint32_t>(left));
        if (narrow < 0 && (periodic || timer.armed)) return 0;
        return static_cast<uint32_t>(left);
    }
    const bool passed = static_cast<int64_t>(left) <= 0;
    if (passed && (periodic || timer.armed)) return 0;
    if (passed || left > kFarTicks) return std::nullopt;
    return left;
}

std::optional<uint64_t> Hpet::next_event_ns(uint64_t now_ns) const {
    std::optional<uint64_t> next;
    const uint64_t count = counter(now_ns);
    for (const Timer& timer : timers_) {
        const auto left = ticks_left(timer, count);
        if (!left) continue;
        const uint64_t due = std::max(now_ns + ns_of(*left), timer.earliest_ns);
        next = std::min(next.value_or(due), due);
    }
    return next;
}

void Hpet::advance(uint64_t now_ns) {
    const uint64_t count = counter(now_ns);
    for (unsigned i = 0; i < timers_.size(); ++i) {
        Timer& timer = timers_[i];
        const auto left = ticks_left(timer, count);
        if (!left || *left != 0 || now_ns < timer.earliest_ns) continue;
        fire(i, now_ns);
    }
}

void Hpet::fire(unsigned number, uint64_t now_ns) {
    Timer& timer = timers_[number];
    timer.armed = false;
    if (level_triggered(number)) {
        status_ |= uint64_t{1} << number;
    } else {
        timer.edge = true;
    }
    if ((timer.config & timer_bits::kPeriodic) != 0 && timer.period != 0) {
        step_period(timer, now_ns);
    } else if ((timer.config & timer_bits::k32Bit) != 0) {
        timer.earliest_ns = now_ns + kMinPeriodNs;
    }
}

void Hpet::step_period(Timer& timer, uint64_t now_ns) {
    const bool narrow = (timer.config & timer_bits::k32Bit) != 0;
    const uint64_t mask = narrow ? UINT32_MAX : ~uint64_t{0};
    const uint64_t count = counter(now_ns) & mask;
    timer.comparator = (timer.comparator + timer.period) & mask;
    // What is too old, or too quick for the host, is given up.
    uint64_t behind = (count - timer.comparator) & mask;
    if (behind > mask / 2) behind = 0;  // it lies ahead
    if (ns_of(behind) > kMaxBacklogNs) {
        timer.comparator = (timer.comparator + behind / timer.period * timer.period) & mask;
    }
    timer.earliest_ns = now_ns + std::max(ns_of(timer.period) / 2, kMinPeriodNs);
}

}  // namespace mynah
