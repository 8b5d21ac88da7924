#include "device/chipset/acpi_fixed_hardware.h"

#include <gtest/gtest.h>

#include "device/chipset/acpi_power_management.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"

namespace mynah {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
using Width = AcpiFixedHardware::TimerWidth;

class CountingPower final : public PowerSink {
 public:
    void power_off() override { ++offs; }
    void reset() override { ++resets; }
    int offs = 0, resets = 0;
};

class AcpiTest : public ::testing::Test {
 protected:
    uint16_t read16(unsigned offset) { return static_cast<uint16_t>(acpi.read(offset, 2)); }
    void write16(unsigned offset, uint16_t value) { acpi.write(offset, 2, value); }

    testing::ManualClock clock;
    testing::RecordingLine sci;
    CountingPower power;
    AcpiPowerManagement acpi{clock, sci, power, Width::k24};
};

TEST_F(AcpiTest, TimerRunsAt3579545Hertz) {
    clock.advance(kSecond);
    EXPECT_EQ(acpi.read(acpi::kPmTimer, 4), 3579545u);
    clock.advance(4 * kSecond);
    EXPECT_EQ(acpi.read(acpi::kPmTimer, 4), 5u * 3579545 - 0x1000000);  // 24 bits
    acpi.write(acpi::kPmTimer, 4, 0);  // read-only
    EXPECT_NE(acpi.read(acpi::kPmTimer, 4), 0u);
    EXPECT_EQ(acpi.read(acpi::kPmTimer + 2, 1), 0x11u);
}

TEST_F(AcpiTest, The32BitTimerUsesAllBits) {
    AcpiFixedHardware chip(Width::k32);
    EXPECT_EQ(chip.timer(5 * kSecond), 5u * 3579545);
    EXPECT_EQ(chip.timer(1200 * kSecond), static_cast<uint32_t>(1200ull * 3579545));
}

TEST_F(AcpiTest, TimerStatusAtEachChangeOfTheHighBit) {
    EXPECT_EQ(read16(acpi::kPm1Event), 0);
    clock.advance(2 * kSecond);
    EXPECT_EQ(read16(acpi::kPm1Event), 0);
    clock.advance(kSecond / 2);  // 2^23 ticks take 2.34 s
    EXPECT_EQ(read16(acpi::kPm1Event), acpi::pm1_status::kTimer);
    write16(acpi::kPm1Event, acpi::pm1_status::kTimer);
    EXPECT_EQ(read16(acpi::kPm1Event), 0);
    EXPECT_FALSE(sci.level());
    EXPECT_EQ(clock.armed(), 0u);  // not enabled: nobody is woken for it
}

TEST_F(AcpiTest, TimerOverflowInterrupts) {
    write16(acpi::kPm1Event + 2, acpi::pm1_enable::kTimer);
    clock.advance(3 * kSecond);
    EXPECT_TRUE(sci.level());
    write16(acpi::kPm1Event, acpi::pm1_status::kTimer);
    EXPECT_FALSE(sci.level());
    clock.advance(2 * kSecond);
    EXPECT_TRUE(sci.level());
    EXPECT_EQ(sci.rises(), 2u);
}

TEST_F(AcpiTest, EnableAndControlMasks) {
    write16(acpi::kPm1Event + 2, 0xffff);
    EXPECT_EQ(read16(acpi::kPm1Event + 2), acpi::pm1_enable::kWritable);
    EXPECT_EQ(read16(acpi::kPm1Control), acpi::pm1_control::kSciEnable);
    write16(acpi::kPm1Control, 0xdfff);
    EXPECT_EQ(read16(acpi::kPm1Control), acpi::pm1_control::kWritable);
    EXPECT_EQ(power.offs, 0);
    EXPECT_EQ(acpi.read(6, 2), 0u);  // between the blocks
}

TEST_F(AcpiTest, SoftOffNeedsTypeAndEnable) {
    write16(acpi::kPm1Control, 5 << 10 | 1);
    EXPECT_EQ(power.offs, 0);
    write16(acpi::kPm1Control, 3 << 10 | 1 << 13);
    EXPECT_EQ(power.offs, 0);
    write16(acpi::kPm1Control, 5 << 10 | 1 << 13 | 1);
    EXPECT_EQ(power.offs, 1);
    EXPECT_EQ(read16(acpi::kPm1Control) & acpi::pm1_control::kSleepEnable, 0);
}

TEST_F(AcpiTest, SoftOffByByteWrites) {
    acpi.write(acpi::kPm1Control, 1, 0x01);
    acpi.write(acpi::kPm1Control + 1, 1, 0x34);
    EXPECT_EQ(power.offs, 1);
}

TEST_F(AcpiTest, PowerButtonIsALevelUntilCleared) {
    acpi.press_power_button();
    EXPECT_FALSE(sci.level());
    write16(acpi::kPm1Event + 2, acpi::pm1_enable::kPowerButton);
    EXPECT_TRUE(sci.level());
    EXPECT_EQ(read16(acpi::kPm1Event), acpi::pm1_status::kPowerButton);
    write16(acpi::kPm1Event, acpi::pm1_status::kPowerButton);
    EXPECT_FALSE(sci.level());
    acpi.press_power_button();
    EXPECT_TRUE(sci.level());
    write16(acpi::kPm1Control, 0);  // SCI_EN off
    EXPECT_FALSE(sci.level());
    acpi.reset();
    EXPECT_EQ(read16(acpi::kPm1Event), 0);
}

TEST_F(AcpiTest, GeneralPurposeEvents) {
    write16(acpi::kGpe0 + 2, 0x0200);
    acpi.raise_event(3);
    EXPECT_FALSE(sci.level());
    acpi.raise_event(9);
    EXPECT_TRUE(sci.level());
    EXPECT_EQ(read16(acpi::kGpe0), 0x0208);
    write16(acpi::kGpe0, 0x0200);
    EXPECT_FALSE(sci.level());
    EXPECT_EQ(read16(acpi::kGpe0), 0x0008);
}

}  // namespace
}  // namespace mynah
