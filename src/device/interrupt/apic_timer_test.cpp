#include "device/interrupt/apic_timer.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

constexpr uint64_t kMs = 1'000'000;
using Mode = ApicTimer::Mode;

TEST(ApicTimer, EveryDivisor) {
    // Encoding 0 to 7 of bits 3, 1, 0 [SDM 3A figure 10-10].
    const struct { uint32_t code; uint64_t divisor; } cases[] = {
        {0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    for (const auto& c : cases) {
        ApicTimer timer(1'000'000'000);
        timer.set_divide(c.code, 0);
        timer.set_initial_count(1000, 0);
        EXPECT_EQ(timer.next_ns(), 1000 * c.divisor) << c.code;
        EXPECT_EQ(timer.current_count(500 * c.divisor), 500u) << c.code;
    }
}

TEST(ApicTimer, OneShotStopsAtZero) {
    ApicTimer timer(25'000'000);
    timer.set_divide(0xb, 0);
    timer.set_initial_count(25'000, 10 * kMs);
    EXPECT_EQ(timer.next_ns(), 11 * kMs);
    EXPECT_FALSE(timer.expire(11 * kMs - 1));
    EXPECT_TRUE(timer.expire(11 * kMs));
    EXPECT_FALSE(timer.next_ns().has_value());
    EXPECT_EQ(timer.current_count(12 * kMs), 0u);
    EXPECT_EQ(timer.initial_count(), 25'000u);
    EXPECT_FALSE(timer.expire(13 * kMs));
}

TEST(ApicTimer, ExpiryIsNeverBeforeTheLastCount) {
    ApicTimer timer(24'000'000);
    timer.set_divide(0xb, 0);
    for (uint32_t count : {1u, 7u, 1001u}) {
        timer.set_initial_count(count, 0);
        EXPECT_EQ(timer.current_count(*timer.next_ns()), 0u);
        EXPECT_EQ(timer.current_count(*timer.next_ns() - 1), 1u);
    }
}

TEST(ApicTimer, PeriodicReloads) {
    ApicTimer timer(1'000'000);
    timer.set_divide(0xb, 0);
    timer.set_mode(Mode::kPeriodic, 0);
    timer.set_initial_count(1000, 0);
    for (uint64_t i = 1; i <= 5; ++i) {
        EXPECT_EQ(timer.next_ns(), i * kMs);
        EXPECT_TRUE(timer.expire(i * kMs));
    }
    EXPECT_EQ(timer.current_count(5 * kMs), 1000u);
    EXPECT_EQ(timer.current_count(5 * kMs + 250'000), 750u);
    timer.set_initial_count(0, 6 * kMs);
    EXPECT_FALSE(timer.next_ns().has_value());
}

TEST(ApicTimer, PeriodicWithTheLongestPeriod) {
    ApicTimer timer(999'999'937);
    timer.set_divide(0xa, 0);
    timer.set_mode(Mode::kPeriodic, 0);
    timer.set_initial_count(0xffffffff, 0);
    EXPECT_NEAR(static_cast<double>(*timer.next_ns()), 549.75e9, 0.01e9);
    EXPECT_TRUE(timer.expire(*timer.next_ns()));
}

TEST(ApicTimer, ChangingTheDivisorKeepsTheCount) {
    ApicTimer timer(1'000'000'000);
    timer.set_divide(0xb, 0);
    timer.set_initial_count(1000, 0);
    timer.set_divide(0x0, 400);
    EXPECT_EQ(timer.current_count(400), 600u);
    EXPECT_EQ(timer.next_ns(), 400u + 1200u);
}

TEST(ApicTimer, DeadlineModeHasNoCounts) {
    ApicTimer timer(1'000'000);
    timer.set_initial_count(1000, 0);
    timer.set_deadline(5, 5);  // ignored in other modes
    EXPECT_EQ(timer.deadline(), 0u);
    timer.set_mode(Mode::kTscDeadline, 0);
    EXPECT_FALSE(timer.next_ns().has_value());
    timer.set_initial_count(1000, 0);
    EXPECT_EQ(timer.current_count(1), 0u);
    timer.set_deadline(123456, 77);
    EXPECT_EQ(timer.next_ns(), 77u);
    EXPECT_EQ(timer.deadline(), 123456u);
    EXPECT_TRUE(timer.expire(80));
    EXPECT_EQ(timer.deadline(), 0u);
    timer.set_deadline(9, 90);
    timer.set_deadline(0, 0);
    EXPECT_FALSE(timer.next_ns().has_value());
    timer.set_deadline(9, 90);
    timer.set_mode(Mode::kOneShot, 80);
    EXPECT_FALSE(timer.next_ns().has_value());
}

}  // namespace
}  // namespace mynah
