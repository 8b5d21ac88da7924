#include "device/timer/mc146818.h"

#include <gtest/gtest.h>

#include "device/timer/mc146818_registers.h"
#include "device/timer/real_time_clock.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"

namespace mynah {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr int64_t kStart = 1'793'326'496;  // 2026-10-30 02:14:56 UTC, a Friday

class Mc146818Test : public ::testing::Test {
 protected:
    uint8_t read(uint8_t index) { return chip.read(index, now); }
    void write(uint8_t index, uint8_t value) { chip.write(index, value, now); }

    uint64_t now = 0;
    Mc146818 chip{kStart};
};

TEST_F(Mc146818Test, TimeAndDateInBcd) {
    EXPECT_EQ(read(rtc::kB), rtc::b::k24Hour);
    EXPECT_EQ(read(rtc::kSeconds), 0x56);
    EXPECT_EQ(read(rtc::kMinutes), 0x14);
    EXPECT_EQ(read(rtc::kHours), 0x02);
    EXPECT_EQ(read(rtc::kWeekday), 6);
    EXPECT_EQ(read(rtc::kDay), 0x30);
    EXPECT_EQ(read(rtc::kMonth), 0x10);
    EXPECT_EQ(read(rtc::kYear), 0x26);
    EXPECT_EQ(read(rtc::kCentury), 0x20);
    EXPECT_EQ(read(rtc::kD), 0x80);
}

TEST_F(Mc146818Test, StartsWithinASecond) {
    Mc146818 late(kStart, 900'000'000);
    EXPECT_EQ(late.read(rtc::kSeconds, 99 * kMs), 0x56);
    EXPECT_EQ(late.read(rtc::kSeconds, 100 * kMs), 0x57);
}

TEST_F(Mc146818Test, BinaryAndTwelveHours) {
    write(rtc::kB, rtc::b::kBinary);
    EXPECT_EQ(read(rtc::kSeconds), 56);
    EXPECT_EQ(read(rtc::kYear), 26);
    EXPECT_EQ(read(rtc::kHours), 2);
    now += 12 * 3600 * kSecond;
    EXPECT_EQ(read(rtc::kHours), 0x82);
    now += 10 * 3600 * kSecond;
    EXPECT_EQ(read(rtc::kHours), 12);  // midnight is 12 AM
    EXPECT_EQ(read(rtc::kDay), 31);
    write(rtc::kB, 0);
    now += 23 * 3600 * kSecond;
    EXPECT_EQ(read(rtc::kHours), 0x91);
}

TEST_F(Mc146818Test, CarriesIntoMonthAndYear) {
    now = (63 * 24 * 3600) * kSecond;
    EXPECT_EQ(read(rtc::kDay), 0x01);
    EXPECT_EQ(read(rtc::kMonth), 0x01);
    EXPECT_EQ(read(rtc::kYear), 0x27);
}

TEST_F(Mc146818Test, SettingTheTimeWithSet) {
    now = 300 * kMs;
    write(rtc::kB, rtc::b::kSet | rtc::b::k24Hour | rtc::b::kUpdateEnable);
    EXPECT_EQ(read(rtc::kB), rtc::b::kSet | rtc::b::k24Hour);  // SET clears UIE
    write(rtc::kSeconds, 0x58);
    write(rtc::kMinutes, 0x59);
    write(rtc::kHours, 0x23);
    write(rtc::kDay, 0x29);
    write(rtc::kMonth, 0x02);
    write(rtc::kYear, 0x24);
    now += 10 * kSecond;
    EXPECT_EQ(read(rtc::kSeconds), 0x58);  // stands still
    write(rtc::kB, rtc::b::k24Hour);
    EXPECT_EQ(chip.unix_seconds(now), 1'709'251'198);
    now += 2 * kSecond;
    EXPECT_EQ(read(rtc::kSeconds), 0x00);
    EXPECT_EQ(read(rtc::kDay), 0x01);
    EXPECT_EQ(read(rtc::kMonth), 0x03);
    EXPECT_EQ(read(rtc::kWeekday), 6);  // 1 March 2024 was a Friday
}

TEST_F(Mc146818Test, NonsenseIsBroughtIntoRange) {
    write(rtc::kB, rtc::b::kSet | rtc::b::kBinary | rtc::b::k24Hour);
    for (uint8_t index : {rtc::kSeconds, rtc::kMinutes, rtc::kHours, rtc::kDay, rtc::kMonth,
                          rtc::kYear, rtc::kCentury}) {
        write(index, 0xff);
    }
    write(rtc::kB, rtc::b::k24Hour);
    EXPECT_LE(read(rtc::kSeconds), 0x59);
    EXPECT_LE(read(rtc::kHours), 0x23);
    EXPECT_LE(read(rtc::kMonth), 0x12);
}

TEST_F(Mc146818Test, UpdateInProgressBeforeEachSecond) {
    now = 997 * kMs;
    EXPECT_EQ(read(rtc::kA), rtc::a::kReset);
    now = 998 * kMs;
    EXPECT_EQ(read(rtc::kA), rtc::a::kReset | rtc::a::kUpdateInProgress);
    now = kSecond;
    EXPECT_EQ(read(rtc::kA), rtc::a::kReset);
    write(rtc::kB, rtc::b::kSet);
    now = kSecond + 999 * kMs;
    EXPECT_EQ(read(rtc::kA), rtc::a::kReset);
}

TEST_F(Mc146818Test, DividerResetStartsHalfASecondBeforeTheUpdate) {
    now = 100 * kMs;
    write(rtc::kA, 0x70);
    now = 5 * kSecond;
    EXPECT_EQ(read(rtc::kSeconds), 0x56);
    write(rtc::kA, 0x26);
    now += 499 * kMs;
    EXPECT_EQ(read(rtc::kSeconds), 0x56);
    now += 2 * kMs;
    EXPECT_EQ(read(rtc::kSeconds), 0x57);
}

TEST_F(Mc146818Test, UpdateFlagAndInterrupt) {
    EXPECT_EQ(read(rtc::kC), 0);
    now = kSecond;
    EXPECT_EQ(read(rtc::kC) & rtc::c::kUpdate, rtc::c::kUpdate);
    EXPECT_EQ(read(rtc::kC), 0);
    write(rtc::kB, rtc::b::k24Hour | rtc::b::kUpdateEnable);
    EXPECT_EQ(chip.next_event_ns(now), 2 * kSecond);
    chip.advance(2 * kSecond);
    EXPECT_TRUE(chip.interrupt());
    EXPECT_FALSE(chip.next_event_ns(2 * kSecond).has_value());
    now = 2 * kSecond;
    EXPECT_EQ(read(rtc::kC) & (rtc::c::kRequest | rtc::c::kUpdate), 0x90);
    EXPECT_FALSE(chip.interrupt());
}

TEST_F(Mc146818Test, EnablingAnInterruptWhoseFlagIsUpRequests) {
    now = kSecond;
    chip.advance(now);
    EXPECT_FALSE(chip.interrupt());
    write(rtc::kB, rtc::b::k24Hour | rtc::b::kUpdateEnable);
    EXPECT_TRUE(chip.interrupt());
    write(rtc::kB, rtc::b::k24Hour);
    EXPECT_FALSE(chip.interrupt());
}

TEST_F(Mc146818Test, AlarmAtATime) {
    write(rtc::kSecondsAlarm, 0x05);
    write(rtc::kMinutesAlarm, 0x00);
    write(rtc::kHoursAlarm, 0x03);
    write(rtc::kB, rtc::b::k24Hour | rtc::b::kAlarmEnable);
    const uint64_t due = (45 * 60 + 9) * kSecond;  // 03:00:05
    EXPECT_EQ(chip.next_event_ns(now), due);
    chip.advance(due - 1);
    EXPECT_FALSE(chip.interrupt());
    chip.advance(due);
    EXPECT_TRUE(chip.interrupt());
    now = due;
    EXPECT_EQ(read(rtc::kC) & 0xa0, 0xa0);
    EXPECT_EQ(chip.next_event_ns(now), due + 24 * 3600 * kSecond);
}

TEST_F(Mc146818Test, AlarmWithWildcardsAndOneThatNeverMatches) {
    write(rtc::kSecondsAlarm, 0x30);
    write(rtc::kMinutesAlarm, 0xff);
    write(rtc::kHoursAlarm, 0xc0);
    write(rtc::kB, rtc::b::k24Hour | rtc::b::kAlarmEnable);
    EXPECT_EQ(chip.next_event_ns(now), 34 * kSecond);
    now = 34 * kSecond;
    chip.advance(now);
    read(rtc::kC);
    EXPECT_EQ(chip.next_event_ns(now), 94 * kSecond);
    write(rtc::kHoursAlarm, 0x77);
    EXPECT_FALSE(chip.next_event_ns(now).has_value());
}

TEST_F(Mc146818Test, PeriodicRates) {
    const struct { uint8_t rate; uint32_t clocks; } cases[] = {
        {0, 0}, {1, 128}, {2, 256}, {3, 4}, {6, 32}, {15, 16384}};
    for (const auto& c : cases) {
        write(rtc::kA, static_cast<uint8_t>(0x20 | c.rate));
        EXPECT_EQ(chip.periodic_clocks(), c.clocks);
    }
    write(rtc::kA, 0x26);
    write(rtc::kB, rtc::b::k24Hour | rtc::b::kPeriodicEnable);
    uint32_t ticks = 0;
    while (now < kSecond) {
        now = *chip.next_event_ns(now);
        chip.advance(now);
        EXPECT_TRUE(chip.interrupt());
        read(rtc::kC);
        ++ticks;
    }
    EXPECT_EQ(ticks, 1024u);
}

TEST_F(Mc146818Test, MemoryIsKeptAndRegistersAreNotMemory) {
    write(0x20, 0xa5);
    EXPECT_EQ(read(0x20), 0xa5);
    EXPECT_EQ(read(0xa0), 0xa5);  // seven bits of index
    chip.set_memory(0x34, 0x12);
    EXPECT_EQ(read(0x34), 0x12);
    chip.set_memory(rtc::kB, 0xff);
    EXPECT_EQ(read(rtc::kB), rtc::b::k24Hour);
    write(rtc::kD, 0);
    EXPECT_EQ(read(rtc::kD), 0x80);
    chip.reset(now);
    EXPECT_EQ(read(0x20), 0xa5);
}

TEST(RealTimeClock, PortsAndInterruptLine) {
    testing::ManualClock clock;
    testing::RecordingLine irq;
    RealTimeClock clock_chip(clock, irq, kStart);
    IoHandler& ports = clock_chip.ports();
    ports.write(0, 1, 0x80 | rtc::kMinutes);
    EXPECT_EQ(ports.read(1, 1), 0x14u);
    EXPECT_EQ(ports.read(0, 1), 0xffu);
    ports.write(0, 1, rtc::kB);
    ports.write(1, 1, rtc::b::k24Hour | rtc::b::kUpdateEnable);
    clock.advance(kSecond);
    EXPECT_TRUE(irq.level());
    clock.advance(5 * kSecond);
    EXPECT_EQ(irq.rises(), 1u);  // not acknowledged: nothing piles up
    ports.write(0, 1, rtc::kC);
    EXPECT_EQ(ports.read(1, 1) & 0x90, 0x90u);
    EXPECT_FALSE(irq.level());
    clock.advance(kSecond);
    EXPECT_EQ(irq.rises(), 2u);
    clock_chip.reset();
    EXPECT_FALSE(irq.level());
    EXPECT_EQ(clock.armed(), 0u);
}

}  // namespace
}  // namespace mynah
