#include "device/timer/mc146818.h"

#include <algorithm>

#include "device/timer/mc146818_registers.h"

namespace mynah {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kSecondsPerDay = 86400;
// Update-in-progress is raised 244 microseconds before an update cycle of 1984 [MC146818 table 6].
constexpr int64_t kUpdateNs = 2'228'000;
// The first update comes half a second after the divider is released [MC146818, register A].
constexpr int64_t kAfterDividerResetNs = kNsPerSecond / 2;
constexpr uint64_t kCrystalHz = 32768;
using Wide = unsigned __int128;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Days since 1970 of a date of the Gregorian calendar, and back; years are counted from March, so
// that the leap day is the last of the year.
int64_t days_of(int year, int month, int day) {
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t era = floor_div(y, 400);
    const int64_t year_of_era = y - era * 400;
    const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

void date_of(int64_t days, int& year, int& month, int& day) {
    const int64_t shifted = days + 719468;
    const int64_t era = floor_div(shifted, 146097);
    const int64_t d = shifted - era * 146097;
    const int64_t year_of_era = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    const int64_t day_of_year = d - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted_month = (5 * day_of_year + 2) / 153;
    day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    year = static_cast<int>(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
}

}  // namespace

Mc146818::Mc146818(int64_t unix_seconds, uint32_t nanoseconds)
    : a_(rtc::a::kReset),
      b_(rtc::b::kReset),
      base_seconds_(unix_seconds),
      base_ns_(-int64_t{nanoseconds}) {}

void Mc146818::reset(uint64_t now_ns) {
    advance(now_ns);
    b_ &= static_cast<uint8_t>(~(rtc::b::kPeriodicEnable | rtc::b::kAlarmEnable |
                                 rtc::b::kUpdateEnable | rtc::b::kSquareWave));
    c_ = 0;
}

// --- The time of day.

bool Mc146818::stopped_by_registers() const {
    return (b_ & rtc::b::kSet) != 0 || (a_ & rtc::a::kDividerReset) == rtc::a::kDividerReset;
}

int64_t Mc146818::unix_seconds(uint64_t now_ns) const {
    return base_seconds_ + floor_div(static_cast<int64_t>(now_ns) - base_ns_, kNsPerSecond);
}

Mc146818::Calendar Mc146818::calendar(uint64_t now_ns) const {
    if (stopped_) return held_;
    const int64_t seconds = unix_seconds(now_ns);
    const int64_t days = floor_div(seconds, kSecondsPerDay);
    const int of_day = static_cast<int>(seconds - days * kSecondsPerDay);
    Calendar out{};
    out.second = of_day % 60;
    out.minute = of_day / 60 % 60;
    out.hour = of_day / 3600;
    date_of(days, out.year, out.month, out.day);
    out.weekday = static_cast<int>((days % 7 + 11) % 7) + 1;  // 1 January 1970 was a Thursday, 5
    return out;
}

// What a guest wrote may be no date at all: every field is brought into its range.
void Mc146818::start_from(const Calendar& from, int64_t base_ns) {
    const int month = std::clamp(from.month, 1, 12);
    const int day = std::clamp(from.day, 1, 31);
    base_seconds_ = days_of(from.year, month, day) * kSecondsPerDay +
                    std::clamp(from.hour, 0, 23) * 3600 + std::clamp(from.minute, 0, 59) * 60 +
                    std::clamp(from.second, 0, 59);
    base_ns_ = base_ns;
}

// The start of the running second: updates keep their phase when the time is set.
int64_t Mc146818::second_start(uint64_t now_ns) const {
    const int64_t since = static_cast<int64_t>(now_ns) - base_ns_;
    return base_ns_ + floor_div(since, kNsPerSecond) * kNsPerSecond;
}

void Mc146818::stop_or_start(bool divider_was_reset, uint64_t now_ns) {
    const bool stop = stopped_by_registers();
    if (stop == stopped_) return;
    if (stop) {
        held_ = calendar(now_ns);
    } else if (divider_was_reset) {
        start_from(held_, static_cast<int64_t>(now_ns) - kAfterDividerResetNs);
    } else {
        start_from(held_, second_start(now_ns));
    }
    stopped_ = stop;
}

uint8_t Mc146818::encode(int value) const {
    if ((b_ & rtc::b::kBinary) != 0) return static_cast<uint8_t>(value);
    return static_cast<uint8_t>(value / 10 % 10 << 4 | value % 10);
}

int Mc146818::decode(uint8_t value) const {
    if ((b_ & rtc::b::kBinary) != 0) return value;
    return (value >> 4) * 10 + (value & 15);
}

uint8_t Mc146818::encode_hour(int hour) const {
    if ((b_ & rtc::b::k24Hour) != 0) return encode(hour);
    const int of_half = hour % 12 == 0 ? 12 : hour % 12;
    return static_cast<uint8_t>(encode(of_half) | (hour >= 12 ? rtc::kPm : 0));
}

int Mc146818::decode_hour(uint8_t value) const {
    if ((b_ & rtc::b::k24Hour) != 0) return decode(value);
    const int of_half = decode(value & 0x7f) % 12;
    return (value & rtc::kPm) != 0 ? of_half + 12 : of_half;
}

std::optional<uint8_t> Mc146818::read_calendar(uint8_t index, uint64_t now_ns) const {
    const Calendar at = calendar(now_ns);
    switch (index) {
        case rtc::kSeconds: return encode(at.second);
        case rtc::kMinutes: return encode(at.minute);
        case rtc::kHours: return encode_hour(at.hour);
        case rtc::kWeekday: return encode(at.weekday);
        case rtc::kDay: return encode(at.day);
        case rtc::kMonth: return encode(at.month);
        case rtc::kYear: return encode(at.year % 100);
        case rtc::kCentury: return encode(at.year / 100);
        default: return std::nullopt;
    }
}

bool Mc146818::write_calendar(uint8_t index, uint8_t value, uint64_t now_ns) {
    Calendar at = calendar(now_ns);
    switch (index) {
        case rtc::kSeconds: at.second = decode(value & 0x7f); break;
        case rtc::kMinutes: at.minute = decode(value & 0x7f); break;
        case rtc::kHours: at.hour = decode_hour(value); break;
        case rtc::kWeekday: return true;
        case rtc::kDay: at.day = decode(value & 0x3f); break;
        case rtc::kMonth: at.month = decode(value & 0x1f); break;
        case rtc::kYear: at.year = at.year / 100 * 100 + decode(value) % 100; break;
        case rtc::kCentury: at.year = decode(value) % 100 * 100 + at.year % 100; break;
        default: return false;
    }
    if (stopped_) {
        held_ = at;
    } else {
        start_from(at, second_start(now_ns));
    }
    return true;
}

// --- Flags and interrupts [MC146818, register C].

void Mc146818::raise(uint8_t flag) {
    c_ |= flag;
    if ((c_ & b_ & (rtc::c::kPeriodic | rtc::c::kAlarm | rtc::c::kUpdate)) != 0) {
        c_ |= rtc::c::kRequest;
    }
}

uint32_t Mc146818::periodic_clocks() const {
    const unsigned rate = a_ & rtc::a::kRate;
    if (rate == 0 || (a_ & rtc::a::kDividerReset) == rtc::a::kDividerReset) return 0;
    return rate < 3 ? 64u << rate : 1u << (rate - 1);
}

// The next second after `after` at which the alarm bytes match; looks one day ahead.
std::optional<int64_t> Mc146818::next_alarm(int64_t after) const {
    const auto matches = [](uint8_t alarm, uint8_t value) {
        return (alarm & rtc::kAlarmAny) == rtc::kAlarmAny || alarm == value;
    };
    int64_t at = after + 1;
    while (at <= after + kSecondsPerDay) {
        const int of_day = static_cast<int>(at - floor_div(at, kSecondsPerDay) * kSecondsPerDay);
        if (!matches(memory_[rtc::kHoursAlarm], encode_hour(of_day / 3600))) {
            at += 3600 - of_day % 3600;
        } else if (!matches(memory_[rtc::kMinutesAlarm], encode(of_day / 60 % 60))) {
            at += 60 - of_day % 60;
        } else if (!matches(memory_[rtc::kSecondsAlarm], encode(of_day % 60))) {
            ++at;
        } else {
            return at;
        }
    }
    return std::nullopt;
}

void Mc146818::advance(uint64_t now_ns) {
    if (now_ns <= advanced_ns_) return;
    if (const uint32_t clocks = periodic_clocks(); clocks != 0) {
        const auto ticks = [clocks](uint64_t ns) {
            return static_cast<uint64_t>(Wide{ns} * kCrystalHz / kNsPerSecond) / clocks;
        };
        if (ticks(now_ns) != ticks(advanced_ns_)) raise(rtc::c::kPeriodic);
    }
    if (!stopped_) {
        const int64_t before = unix_seconds(advanced_ns_);
        const int64_t now = unix_seconds(now_ns);
        if (now > before) {
            raise(rtc::c::kUpdate);
            const auto alarm = next_alarm(before);
            if (alarm && *alarm <= now) raise(rtc::c::kAlarm);
        }
    }
    advanced_ns_ = now_ns;
}

std::optional<uint64_t> Mc146818::next_event_ns(uint64_t now_ns) const {
    if (interrupt()) return std::nullopt;  // until register C is read
    std::optional<uint64_t> next;
    const auto consider = [&next](uint64_t ns) { next = next ? std::min(*next, ns) : ns; };
    const uint32_t clocks = periodic_clocks();
    if ((b_ & rtc::b::kPeriodicEnable) != 0 && clocks != 0) {
        const auto passed = static_cast<uint64_t>(Wide{now_ns} * kCrystalHz / kNsPerSecond);
        const Wide crystal = Wide{passed / clocks + 1} * clocks * kNsPerSecond;
        consider(static_cast<uint64_t>((crystal + kCrystalHz - 1) / kCrystalHz));
    }
    if (stopped_) return next;
    const int64_t second = unix_seconds(now_ns);
    const auto ns_of_second = [this](int64_t at) {
        return static_cast<uint64_t>(base_ns_ + (at - base_seconds_) * kNsPerSecond);
    };
    if ((b_ & rtc::b::kUpdateEnable) != 0) consider(ns_of_second(second + 1));
    if ((b_ & rtc::b::kAlarmEnable) != 0) {
        if (const auto alarm = next_alarm(second)) consider(ns_of_second(*alarm));
    }
    return next;
}

// --- Registers.

uint8_t Mc146818::read(uint8_t index, uint64_t now_ns) {
    advance(now_ns);
    index &= kBytes - 1;
    if (const auto value = read_calendar(index, now_ns)) return *value;
    switch (index) {
        case rtc::kA: {
            const int64_t left = second_start(now_ns) + kNsPerSecond - static_cast<int64_t>(now_ns);
            const bool updating = !stopped_ && left <= kUpdateNs;
            return static_cast<uint8_t>(a_ | (updating ? rtc::a::kUpdateInProgress : 0));
        }
        case rtc::kB: return b_;
        case rtc::kC: {
            const uint8_t flags = c_;
            c_ = 0;
            return flags;
        }
        case rtc::kD: return rtc::d::kValidRam;
        default: return memory_[index];
    }
}

void Mc146818::write(uint8_t index, uint8_t value, uint64_t now_ns) {
    advance(now_ns);
    index &= kBytes - 1;
    if (write_calendar(index, value, now_ns)) return;
    switch (index) {
        case rtc::kA: {
            const bool was_reset = (a_ & rtc::a::kDividerReset) == rtc::a::kDividerReset;
            a_ = value & static_cast<uint8_t>(~rtc::a::kUpdateInProgress);
            stop_or_start(was_reset, now_ns);
            break;
        }
        case rtc::kB:
            b_ = value;
            // SET clears the update interrupt's enable.
            if ((value & rtc::b::kSet) != 0) b_ &= static_cast<uint8_t>(~rtc::b::kUpdateEnable);
            stop_or_start(false, now_ns);
            c_ &= static_cast<uint8_t>(~rtc::c::kRequest);
            raise(0);
            break;
        case rtc::kC:
        case rtc::kD: break;  // read-only
        default: memory_[index] = value; break;
    }
}

void Mc146818::set_memory(uint8_t index, uint8_t value) {
    if (index >= rtc::kFirstMemory && index < kBytes && index != rtc::kCentury) {
        memory_[index] = value;
    }
}

}  // namespace mynah
