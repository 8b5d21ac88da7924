#include "device/interrupt/local_apic_fixture_test.h"

namespace mynah::testing {
namespace {

TEST_F(LocalApicTest, OneShotTimer) {
    enable_all();
    write(0, Register::kDivide, 0xb);
    write(0, Register::kLvtTimer, 0xec);
    write(0, Register::kInitialCount, 1000);
    clock.advance(400);
    EXPECT_EQ(read(0, Register::kCurrentCount), 600u);
    EXPECT_FALSE(pending(0));
    clock.advance(600);
    EXPECT_EQ(take(0), 0xec);
    EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(LocalApicTest, PeriodicTimerAndItsMask) {
    enable_all();
    write(0, Register::kDivide, 0xb);
    write(0, Register::kLvtTimer, 0x200ec);
    write(0, Register::kInitialCount, 1'000'000);
    for (int i = 0; i < 3; ++i) {
        clock.advance(1'000'000);
        EXPECT_EQ(take(0), 0xec);
        write(0, Register::kEoi, 0);
    }
    write(0, Register::kLvtTimer, 0x300ec);
    clock.advance(3'000'000);
    EXPECT_FALSE(pending(0));
    EXPECT_EQ(clock.armed(), 1u);
    write(0, Register::kInitialCount, 0);
    EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(LocalApicTest, TscDeadline) {
    enable_all();
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 4000));
    EXPECT_EQ(apics[0]->read_msr(msr::kTscDeadline), 0u);  // not in this mode
    write(0, Register::kLvtTimer, 0x400ec);
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 4000));
    EXPECT_EQ(apics[0]->read_msr(msr::kTscDeadline), 4000u);
    clock.advance(1999);
    EXPECT_FALSE(pending(0));
    clock.advance(1);
    EXPECT_EQ(take(0), 0xec);
    EXPECT_EQ(apics[0]->read_msr(msr::kTscDeadline), 0u);
    write(0, Register::kEoi, 0);
    // A deadline that is past fires at once, without the clock.
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 10));
    EXPECT_EQ(take(0), 0xec);
    // Writing the TSC moves the deadline.
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 8000));
    tsc_shift = 1000;
    apics[0]->tsc_changed();
    EXPECT_EQ(clock.next_deadline(), 5000u);
    ASSERT_TRUE(apics[0]->write_msr(msr::kTscDeadline, 0));
    EXPECT_EQ(clock.armed(), 0u);
}

}  // namespace
}  // namespace mynah::testing
