#include "bus/tick_pacer.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

constexpr uint64_t kMs = 1'000'000;

TEST(TickPacer, TicksWithoutDriftOnAFractionalPeriod) {
    TickPacer pacer;
    // 1/3 ms: after 3000 punctual ticks exactly a second has gone by.
    pacer.start(kMs, kMs, 3);
    for (int i = 0; i < 3000; ++i) pacer.tick(pacer.next_ns());
    EXPECT_EQ(pacer.next_ns(), kMs + 1000 * kMs);
    EXPECT_EQ(pacer.dropped(), 0u);
}

TEST(TickPacer, LateTicksAreMadeUpForAtHalfThePeriod) {
    TickPacer pacer;
    pacer.start(10 * kMs, 10 * kMs, 1);
    // 35 ms late: the ticks of 10, 20, 30 and 40 ms are due.
    uint64_t now = 45 * kMs;
    EXPECT_EQ(pacer.backlog(now), 4u);
    pacer.tick(now);
    EXPECT_EQ(pacer.next_ns(), now + 5 * kMs);
    unsigned delivered = 1;
    while (now < 200 * kMs) {
        const uint64_t next = pacer.next_ns();
        EXPECT_GE(next, now + 5 * kMs);  // no storm
        now = next;
        pacer.tick(now);
        ++delivered;
    }
    EXPECT_EQ(now, 200 * kMs);
    EXPECT_EQ(delivered, 20u);  // none lost
}

TEST(TickPacer, ALongAbsenceIsNotMadeUpFor) {
    TickPacer pacer;
    pacer.start(kMs, kMs, 1);
    pacer.tick(3'600'000 * kMs);
    EXPECT_EQ(pacer.backlog(3'600'000 * kMs), 500u);
    EXPECT_GT(pacer.dropped(), 3'599'000u);
}

TEST(TickPacer, AnAbsurdPeriodIsStretched) {
    TickPacer pacer;
    pacer.start(0, 1, 1'000'000);
    pacer.tick(0);
    EXPECT_GE(pacer.next_ns(), TickPacer::kMinPeriodNs / 2);
    pacer.start(0, ~uint64_t{0}, 1);
    pacer.tick(0);
    pacer.tick(~uint64_t{0});
    EXPECT_EQ(pacer.next_ns(), ~uint64_t{0});
}

}  // namespace
}  // namespace mynah
