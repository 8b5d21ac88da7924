#include "device/watchdog/i6300esb.h"

#include <gtest/gtest.h>

#include "testing/manual_clock.h"
#include "testing/pci_slot.h"

namespace mynah {
namespace {

using namespace i6300esb;

constexpr uint64_t kSecond = 1'000'000'000;

class I6300EsbTest : public ::testing::Test {
  protected:
    I6300EsbTest() { testing::PciSlotBoard::set_up(watchdog_.function()); }

    void write(uint64_t offset, uint32_t value) {
        board_.memory_space.write(testing::PciSlotBoard::kMemoryBars + offset, 4, value);
    }
    uint64_t read(uint64_t offset) {
        return board_.memory_space.read(testing::PciSlotBoard::kMemoryBars + offset, 4);
    }
    void unlocked(uint64_t offset, uint32_t value) {
        write(kReload, kUnlock1);
        write(kReload, kUnlock2);
        write(offset, value);
    }
    // As Linux does it: each stage half the time, at 1024 counts a second.
    void start(uint32_t seconds) {
        unlocked(kPreload1, seconds << 9);
        unlocked(kPreload2, seconds << 9);
        unlocked(kReload, kReloadNow);
        watchdog_.function().config_write(kLock, 1, kLockEnable);
    }

    testing::PciSlotBoard board_{1 << 20};
    testing::ManualClock clock_;
    int expired_ = 0;
    I6300Esb watchdog_{board_.attachment(), clock_, [this] { ++expired_; }};
};

TEST_F(I6300EsbTest, WhoIsNotFedBites) {
    start(30);
    clock_.advance(29 * kSecond);
    EXPECT_EQ(expired_, 0);
    clock_.advance(2 * kSecond);
    EXPECT_EQ(expired_, 1);
    EXPECT_EQ(read(kReload), kReloadTimeout);
    clock_.advance(100 * kSecond);
    EXPECT_EQ(expired_, 1);
    watchdog_.reset();
    testing::PciSlotBoard::set_up(watchdog_.function());
    EXPECT_EQ(read(kReload), kReloadTimeout);
    unlocked(kReload, kReloadTimeout);
    EXPECT_EQ(read(kReload), 0u);
}

TEST_F(I6300EsbTest, FoodMustBeAnnounced) {
    start(30);
    for (int i = 0; i < 10; ++i) {
        clock_.advance(20 * kSecond);
        unlocked(kReload, kReloadNow);
    }
    EXPECT_EQ(expired_, 0);
    clock_.advance(20 * kSecond);
    write(kReload, kReloadNow);  // without the two words
    clock_.advance(15 * kSecond);
    EXPECT_EQ(expired_, 1);
}

TEST_F(I6300EsbTest, TurnedOffItDoesNothing) {
    start(30);
    watchdog_.function().config_write(kLock, 1, 0);
    clock_.advance(100 * kSecond);
    EXPECT_EQ(expired_, 0);
    start(30);
    watchdog_.reset();
    clock_.advance(100 * kSecond);
    EXPECT_EQ(expired_, 0);
}

TEST_F(I6300EsbTest, OnceLockedItCannotBeTurnedOff) {
    start(30);
    watchdog_.function().config_write(kLock, 1, kLockEnable | kLockLocked);
    watchdog_.function().config_write(kLock, 1, 0);
    EXPECT_EQ(watchdog_.function().config_read(kLock, 1), uint32_t{kLockEnable | kLockLocked});
    clock_.advance(40 * kSecond);
    EXPECT_EQ(expired_, 1);
}

TEST_F(I6300EsbTest, WithoutOutputOnlyTheFlagIsSet) {
    watchdog_.function().config_write(kConfig, 2, kConfigNoOutput);
    start(1);
    clock_.advance(10 * kSecond);
    EXPECT_EQ(expired_, 0);
    EXPECT_EQ(read(kReload), kReloadTimeout);
}

// The first stage ends in nothing, and there is no second: it must not keep the clock busy.
TEST_F(I6300EsbTest, RunningFreelyItNeedsNoClock) {
    watchdog_.function().config_write(kConfig, 2, kConfigFast);
    unlocked(kPreload1, 0);
    watchdog_.function().config_write(kLock, 1, kLockEnable | kLockFreeRunning);
    EXPECT_EQ(clock_.armed(), 0u);
    unlocked(kReload, kReloadNow);
    EXPECT_EQ(clock_.armed(), 0u);
    clock_.advance(10 * kSecond);
    EXPECT_EQ(expired_, 0);
    watchdog_.function().config_write(kLock, 1, kLockEnable);
    clock_.advance(10 * kSecond + (uint64_t{kPreloadMask} << 5) * 31);
    EXPECT_EQ(expired_, 1);
}

TEST_F(I6300EsbTest, PreloadsHave20Bits) {
    unlocked(kPreload1, ~0u);
    EXPECT_EQ(read(kPreload1), kPreloadMask);
    write(kPreload1, 5);
    EXPECT_EQ(read(kPreload1), kPreloadMask);
}

}  // namespace
}  // namespace mynah
