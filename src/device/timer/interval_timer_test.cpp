#include "device/timer/interval_timer.h"

#include <gtest/gtest.h>

#include "testing/manual_clock.h"
#include "testing/recording_line.h"

namespace mynah {
namespace {

constexpr uint64_t kMs = 1'000'000;

class IntervalTimerTest : public ::testing::Test {
 protected:
    void program(unsigned counter, unsigned mode, uint16_t count) {
        timer.ports().write(3, 1, counter << 6 | 0x30 | mode << 1);
        timer.ports().write(counter, 1, count & 0xff);
        timer.ports().write(counter, 1, count >> 8);
    }
    testing::ManualClock clock;
    testing::RecordingLine irq;
    IntervalTimer timer{clock, irq};
};

TEST_F(IntervalTimerTest, PeriodicTicksKeepTheRate) {
    program(0, 2, 11932);  // 100 Hz
    const uint32_t before = irq.rises();
    clock.advance(10'000 * kMs);
    EXPECT_NEAR(irq.rises() - before, 1000, 1);
    EXPECT_TRUE(irq.level());
}

TEST_F(IntervalTimerTest, LateTicksComeSpacedAndComplete) {
    program(0, 3, 11932);
    const uint32_t before = irq.rises();
    clock.advance(5 * kMs);
    clock.jump(100 * kMs);  // the clock's thread was away
    clock.advance(0);
    EXPECT_EQ(irq.rises() - before, 1u);
    clock.advance(6 * kMs);
    EXPECT_LE(irq.rises() - before, 3u);
    clock.advance(889 * kMs);
    EXPECT_NEAR(irq.rises() - before, 100, 1);
}

TEST_F(IntervalTimerTest, OneShotRisesOnce) {
    program(0, 0, 1193);  // a millisecond
    EXPECT_FALSE(irq.level());
    clock.advance(kMs / 2);
    EXPECT_FALSE(irq.level());
    clock.advance(kMs);
    EXPECT_TRUE(irq.level());
    EXPECT_EQ(irq.rises(), 1u);
    EXPECT_EQ(clock.armed(), 0u);
    program(0, 0, 1193);
    EXPECT_FALSE(irq.level());
    clock.advance(2 * kMs);
    EXPECT_EQ(irq.rises(), 2u);
}

TEST_F(IntervalTimerTest, StrobeInMode4) {
    program(0, 4, 1193);
    const uint32_t before = irq.rises();
    clock.advance(5 * kMs);
    EXPECT_EQ(irq.rises() - before, 1u);
}

TEST_F(IntervalTimerTest, LatchingDoesNotDisturbTheTicks) {
    program(0, 2, 11932);
    const uint64_t due = clock.next_deadline();
    clock.advance(3 * kMs);
    timer.ports().write(3, 1, 0x00);
    timer.ports().read(0, 1);
    timer.ports().read(0, 1);
    EXPECT_EQ(clock.next_deadline(), due);
}

TEST_F(IntervalTimerTest, ANewRateTakesOverAtTheEndOfThePeriod) {
    program(0, 2, 11932);
    clock.advance(5 * kMs);
    const uint32_t before = irq.rises();
    timer.ports().write(0, 1, 1193 & 0xff);
    timer.ports().write(0, 1, 1193 >> 8);
    clock.advance(6 * kMs + kMs / 2);
    EXPECT_EQ(irq.rises() - before, 1u + 1u);
    clock.advance(10 * kMs);
    EXPECT_NEAR(irq.rises() - before, 12, 1);
}

TEST_F(IntervalTimerTest, ASilentCounterWakesNobody) {
    program(0, 2, 11932);
    timer.ports().write(3, 1, 0x30);
    EXPECT_EQ(clock.armed(), 0u);
}

// The way kernels calibrate: gate counter 2 by port 61h, poll its output.
TEST_F(IntervalTimerTest, PortBGatesCounter2AndShowsItsOutput) {
    timer.port_b().write(0, 1, 0x00);
    program(2, 0, 11932);
    clock.advance(50 * kMs);
    EXPECT_EQ(timer.port_b().read(0, 1) & 0x2f, 0x00u);
    timer.port_b().write(0, 1, 0x01);
    clock.advance(9 * kMs);
    EXPECT_EQ(timer.port_b().read(0, 1) & 0x2f, 0x01u);
    clock.advance(kMs + kMs / 10);
    EXPECT_EQ(timer.port_b().read(0, 1) & 0x2f, 0x21u);
    EXPECT_EQ(irq.rises(), 0u);
}

TEST_F(IntervalTimerTest, TheRefreshBitToggles) {
    const auto refresh = [&] { return timer.port_b().read(0, 1) & 0x10; };
    const uint64_t first = refresh();
    clock.advance(15'085);
    EXPECT_NE(refresh(), first);
    clock.advance(15'085);
    EXPECT_EQ(refresh(), first);
    timer.port_b().write(0, 1, 0xff);
    EXPECT_EQ(timer.port_b().read(0, 1) & 0xcf, 0x0fu);
}

}  // namespace
}  // namespace mynah
