#include <gtest/gtest.h>

#include <memory>

#include "device/timer/event_timers.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"

namespace mynah {
namespace {

using testing::ManualClock;
using testing::RecordingLine;

constexpr uint64_t kMs = 1'000'000;

struct Board {
    Board() {
        EventTimers::Lines lines{irq0, irq8, {&gsi[0], &gsi[1], &gsi[2], &gsi[3]}};
        timers = std::make_unique<EventTimers>(clock, lines);
    }
    uint64_t read(uint64_t offset) { return timers->read(offset, 8); }
    void write(uint64_t offset, uint64_t value) { timers->write(offset, 8, value); }
    void enable(uint64_t more = 0) {
        write(hpet::kConfiguration, hpet::configuration::kEnable | more);
    }
    static uint64_t config(unsigned timer) { return hpet::kTimers + timer * hpet::kTimerStride; }
    static uint64_t comparator(unsigned timer) { return config(timer) + hpet::kTimerComparator; }

    ManualClock clock;
    RecordingLine irq0, irq8, gsi[4];
    std::unique_ptr<EventTimers> timers;
};

constexpr uint64_t kTicksPerMs = hpet::kHz / 1000;
constexpr uint64_t kRoute21 = uint64_t{21} << hpet::timer::kRouteShift;

TEST(Hpet, TellsWhatItIs) {
    Board board;
    const uint64_t capabilities = board.read(hpet::kCapabilities);
    EXPECT_EQ(capabilities >> 32, hpet::kPeriodFs);
    EXPECT_EQ(capabilities & 0xffffffff, 0x8086a201u);
    EXPECT_EQ(board.timers->read(4, 4), hpet::kPeriodFs);
    EXPECT_EQ(board.read(Board::config(1)) >> 32, 0x00f00000u);
    board.write(hpet::kCapabilities, 0);
    EXPECT_EQ(board.read(hpet::kCapabilities), capabilities);
}

TEST(Hpet, CounterRunsWhileEnabled) {
    Board board;
    board.write(hpet::kCounter, 1000);
    board.clock.advance(5 * kMs);
    EXPECT_EQ(board.read(hpet::kCounter), 1000u);
    board.enable();
    board.clock.advance(1000 * kMs);
    EXPECT_EQ(board.read(hpet::kCounter), 1000 + hpet::kHz);
    board.write(hpet::kConfiguration, 0);
    board.clock.advance(kMs);
    EXPECT_EQ(board.read(hpet::kCounter), 1000 + hpet::kHz);
}

TEST(Hpet, OneShotFiresOnce) {
    Board board;
    board.enable();
    board.write(Board::config(1), hpet::timer::kEnable | kRoute21);
    board.write(Board::comparator(1), 10 * kTicksPerMs);
    board.clock.advance(9 * kMs);
    EXPECT_EQ(board.gsi[1].rises(), 0u);
    board.clock.advance(2 * kMs);
    EXPECT_EQ(board.gsi[1].rises(), 1u);
    EXPECT_FALSE(board.gsi[1].level()) << "an edge";
    board.clock.advance(100 * kMs);
    EXPECT_EQ(board.gsi[1].rises(), 1u);
}

TEST(Hpet, LevelStaysUntilTheStatusIsCleared) {
    Board board;
    board.enable();
    board.write(Board::config(2), hpet::timer::kEnable | hpet::timer::kLevel | kRoute21);
    board.write(Board::comparator(2), kTicksPerMs);
    board.clock.advance(2 * kMs);
    EXPECT_TRUE(board.gsi[1].level());
    EXPECT_EQ(board.read(hpet::kInterruptStatus), 4u);
    board.write(hpet::kInterruptStatus, 3);
    EXPECT_TRUE(board.gsi[1].level());
    board.write(hpet::kInterruptStatus, 4);
    EXPECT_FALSE(board.gsi[1].level());
}

TEST(Hpet, PeriodicByTheTwoWritesOfTheManual) {
    Board board;
    board.write(Board::config(0),
                hpet::timer::kEnable | hpet::timer::kPeriodic | hpet::timer::kSetValue | kRoute21);
    board.write(Board::comparator(0), 5 * kTicksPerMs);
    board.write(Board::comparator(0), 2 * kTicksPerMs);
    board.enable();
    EXPECT_EQ(board.read(Board::comparator(0)), 5 * kTicksPerMs);
    for (int i = 0; i < 200; ++i) board.clock.advance(kMs / 10);
    // At 5, 7, ... 19 ms.
    EXPECT_EQ(board.gsi[1].rises(), 8u);
}

TEST(Hpet, LateTicksAreMadeUpFor) {
    Board board;
    board.write(Board::config(0),
                hpet::timer::kEnable | hpet::timer::kPeriodic | hpet::timer::kSetValue | kRoute21);
    board.write(Board::comparator(0), kTicksPerMs);
    board.enable();
    board.clock.jump(20 * kMs);  // the clock's thread was away
    for (int i = 0; i < 300; ++i) board.clock.advance(kMs / 10);
    EXPECT_NEAR(board.gsi[1].rises(), 50, 2);
    board.clock.jump(100'000 * kMs);
    const uint32_t before = board.gsi[1].rises();
    for (int i = 0; i < 6000; ++i) board.clock.advance(kMs / 10);
    EXPECT_LT(board.gsi[1].rises() - before, 1200u) << "not what is older than half a second";
}

TEST(Hpet, ATinyPeriodDoesNotKeepTheHostBusy) {
    Board board;
    board.write(Board::config(0),
                hpet::timer::kEnable | hpet::timer::kPeriodic | hpet::timer::kSetValue | kRoute21);
    board.write(Board::comparator(0), 1);
    board.enable();
    for (int i = 0; i < 1000; ++i) board.clock.advance(kMs / 100);
    EXPECT_LE(board.gsi[1].rises(), 510u) << "at most one in 20 microseconds";
}

TEST(Hpet, LegacyReplacementTakesOverTheIsaRequests) {
    Board board;
    board.timers->irq0_input().set(true);
    EXPECT_TRUE(board.irq0.level());
    board.enable(hpet::configuration::kLegacyReplacement);
    EXPECT_FALSE(board.irq0.level());
    board.timers->irq8_input().set(true);
    EXPECT_FALSE(board.irq8.level());
    board.write(Board::config(0), hpet::timer::kEnable | kRoute21);
    board.write(Board::comparator(0), kTicksPerMs);
    board.clock.advance(2 * kMs);
    EXPECT_EQ(board.irq0.rises(), 2u);
    EXPECT_EQ(board.gsi[1].rises(), 0u);
    board.enable();
    EXPECT_TRUE(board.irq0.level());
    EXPECT_TRUE(board.irq8.level());
}

TEST(Hpet, A32BitTimerFiresAtEveryWrap) {
    Board board;
    board.enable();
    board.write(Board::config(0), hpet::timer::kEnable | hpet::timer::k32Bit | kRoute21);
    board.write(Board::comparator(0), kTicksPerMs);
    board.clock.advance(2 * kMs);
    EXPECT_EQ(board.gsi[1].rises(), 1u);
    board.clock.advance(290'000 * kMs);
    EXPECT_EQ(board.gsi[1].rises(), 1u);
    board.clock.advance(20'000 * kMs);  // 2^32 ticks are 299.97 s
    EXPECT_EQ(board.gsi[1].rises(), 2u);
}

}  // namespace
}  // namespace mynah
