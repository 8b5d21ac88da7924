#include "bus/tick_pacer.h"

#include <algorithm>

#include "base/check.h"

namespace mynah {

using Wide = unsigned __int128;

void TickPacer::start(uint64_t first_ns, uint64_t period_numerator_ns,
                      uint64_t period_denominator) {
    CHECK(period_denominator > 0);
    running_ = true;
    first_ns_ = next_ns_ = first_ns;
    numerator_ = period_numerator_ns;
    denominator_ = period_denominator;
    delivered_ = 0;
    if (Wide{numerator_} < Wide{kMinPeriodNs} * denominator_) {
        numerator_ = kMinPeriodNs;
        denominator_ = 1;
    }
}

uint64_t TickPacer::due_ns(uint64_t tick) const {
    const Wide due = Wide{first_ns_} + Wide{tick} * numerator_ / denominator_;
    return due > ~uint64_t{0} ? ~uint64_t{0} : static_cast<uint64_t>(due);
}

uint64_t TickPacer::backlog(uint64_t now_ns) const {
    if (!running_ || now_ns < first_ns_) return 0;
    // Ticks due by now, the first included. A hair of rounding may count the newest one late.
    const uint64_t due =
        static_cast<uint64_t>(Wide{now_ns - first_ns_} * denominator_ / numerator_) + 1;
    return due > delivered_ ? due - delivered_ : 0;
}

void TickPacer::tick(uint64_t now_ns) {
    ++delivered_;
    const uint64_t most = std::max<uint64_t>(
        1, static_cast<uint64_t>(Wide{kMaxBacklogNs} * denominator_ / numerator_));
    const uint64_t behind = backlog(now_ns);
    if (behind > most) {
        delivered_ += behind - most;
        dropped_ += behind - most;
    }
    const uint64_t half = static_cast<uint64_t>(Wide{numerator_} / denominator_ / 2);
    next_ns_ = std::max(due_ns(delivered_), now_ns + half);
}

}  // namespace mynah
