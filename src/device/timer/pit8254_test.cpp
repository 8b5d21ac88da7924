#include "device/timer/pit8254.h"

#include <gtest/gtest.h>

namespace mynah {
namespace {

class Pit8254Test : public ::testing::Test {
 protected:
    // Control word for counter, access and mode, then both bytes of the count.
    void program(unsigned counter, unsigned mode, uint16_t count, uint64_t now, bool bcd = false) {
        control(counter, mode, now, bcd);
        chip.write(counter, static_cast<uint8_t>(count), now);
        chip.write(counter, static_cast<uint8_t>(count >> 8), now);
    }
    void control(unsigned counter, unsigned mode, uint64_t now, bool bcd = false) {
        chip.write(3, static_cast<uint8_t>(counter << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0)), now);
    }
    uint16_t read16(unsigned counter, uint64_t now) {
        const uint8_t low = chip.read(counter, now);
        return static_cast<uint16_t>(low | chip.read(counter, now) << 8);
    }
    bool out(unsigned counter, uint64_t now) { return chip.counter(counter).output(now); }

    Pit8254 chip;
};

TEST_F(Pit8254Test, Mode0RisesAtTerminalCount) {
    program(0, 0, 100, 10);
    EXPECT_FALSE(out(0, 10));
    EXPECT_EQ(read16(0, 11), 100);
    EXPECT_EQ(read16(0, 61), 50);
    EXPECT_FALSE(out(0, 110));
    EXPECT_TRUE(out(0, 111));  // count + 1 clocks after the write
    EXPECT_EQ(read16(0, 111), 0);
    EXPECT_EQ(read16(0, 112), 0xffff);  // goes on
    EXPECT_TRUE(out(0, 100000));
    EXPECT_EQ(chip.counter(0).next_rise(20), 111u);
    EXPECT_FALSE(chip.counter(0).next_rise(111).has_value());
}

TEST_F(Pit8254Test, Mode0FirstByteStopsTheCount) {
    program(0, 0, 100, 0);
    chip.write(0, 0x34, 50);
    EXPECT_FALSE(out(0, 200));
    EXPECT_FALSE(chip.counter(0).next_rise(60).has_value());
    chip.write(0, 0x12, 300);
    EXPECT_EQ(chip.counter(0).next_rise(300), 301u + 0x1234);
}

TEST_F(Pit8254Test, Mode0GateHoldsTheCount) {
    program(2, 0, 100, 0);
    chip.counter(2).set_gate(false, 31);
    EXPECT_EQ(read16(2, 500), 70);
    EXPECT_FALSE(chip.counter(2).next_rise(500).has_value());
    chip.counter(2).set_gate(true, 1000);
    EXPECT_EQ(read16(2, 1010), 60);
    EXPECT_FALSE(out(2, 1069));
    EXPECT_TRUE(out(2, 1070));
}

TEST_F(Pit8254Test, Mode1IsStartedByTheGateAndRetriggered) {
    chip.counter(2).set_gate(false, 0);
    program(2, 1, 50, 0);
    EXPECT_TRUE(out(2, 100));
    chip.counter(2).set_gate(true, 200);
    EXPECT_FALSE(out(2, 201));
    EXPECT_FALSE(out(2, 250));
    EXPECT_TRUE(out(2, 251));
    chip.counter(2).set_gate(false, 260);
    chip.counter(2).set_gate(true, 300);
    chip.counter(2).set_gate(false, 310);
    chip.counter(2).set_gate(true, 340);
    EXPECT_FALSE(out(2, 390));
    EXPECT_TRUE(out(2, 391));
}

TEST_F(Pit8254Test, Mode2IsLowForTheLastClock) {
    program(0, 2, 4, 0);
    const bool expected[] = {true, true, true, false, true, true, true, false};
    const uint16_t counts[] = {4, 3, 2, 1, 4, 3, 2, 1};
    for (uint64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(out(0, 1 + i), expected[i]) << i;
        EXPECT_EQ(read16(0, 1 + i), counts[i]) << i;
    }
    EXPECT_EQ(chip.counter(0).next_rise(3), 5u);
    EXPECT_EQ(chip.counter(0).next_rise(5), 9u);
    EXPECT_EQ(chip.counter(0).period(5), 4u);
}

TEST_F(Pit8254Test, Mode2NewCountWaitsForTheEndOfThePeriod) {
    program(0, 2, 100, 0);
    chip.write(0, 20, 51);
    chip.write(0, 0, 51);
    EXPECT_EQ(read16(0, 60), 41);
    EXPECT_EQ(chip.counter(0).next_rise(60), 101u);
    EXPECT_EQ(read16(0, 101), 20);
    EXPECT_EQ(chip.counter(0).next_rise(101), 121u);
    EXPECT_EQ(chip.counter(0).period(101), 20u);
}

TEST_F(Pit8254Test, Mode2GateStopsAndReloads) {
    program(2, 2, 100, 0);
    chip.counter(2).set_gate(false, 50);
    EXPECT_TRUE(out(2, 200));
    EXPECT_FALSE(chip.counter(2).period(200).has_value());
    chip.counter(2).set_gate(true, 300);
    EXPECT_EQ(read16(2, 301), 100);
    EXPECT_EQ(chip.counter(2).next_rise(301), 401u);
}

TEST_F(Pit8254Test, Mode3IsASquareWaveCountingByTwo) {
    program(0, 3, 6, 0);
    const bool expected[] = {true, true, true, false, false, false, true};
    const uint16_t counts[] = {6, 4, 2, 6, 4, 2, 6};
    for (uint64_t i = 0; i < 7; ++i) {
        EXPECT_EQ(out(0, 1 + i), expected[i]) << i;
        EXPECT_EQ(read16(0, 1 + i), counts[i]) << i;
    }
}

TEST_F(Pit8254Test, Mode3OddCountsAreHighLonger) {
    program(0, 3, 5, 0);
    const bool expected[] = {true, true, true, false, false, true};
    for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(out(0, 1 + i), expected[i]) << i;
    EXPECT_EQ(chip.counter(0).next_rise(1), 6u);
}

TEST_F(Pit8254Test, Mode4StrobesOnce) {
    program(0, 4, 10, 0);
    EXPECT_TRUE(out(0, 10));
    EXPECT_FALSE(out(0, 11));
    EXPECT_TRUE(out(0, 12));
    EXPECT_EQ(chip.counter(0).next_rise(0), 12u);
    EXPECT_FALSE(chip.counter(0).next_rise(12).has_value());
}

TEST_F(Pit8254Test, Mode5StrobesAfterATrigger) {
    chip.counter(2).set_gate(false, 0);
    program(2, 5, 10, 0);
    EXPECT_TRUE(out(2, 11));
    chip.counter(2).set_gate(true, 100);
    EXPECT_FALSE(out(2, 111));
    EXPECT_TRUE(out(2, 112));
}

TEST_F(Pit8254Test, ZeroIsTheLargestCount) {
    program(0, 2, 0, 0);
    EXPECT_EQ(chip.counter(0).period(1), 65536u);
    EXPECT_EQ(read16(0, 1), 0);
    EXPECT_EQ(read16(0, 2), 0xffff);
    program(0, 2, 0, 0, true);
    EXPECT_EQ(chip.counter(0).period(1), 10000u);
}

TEST_F(Pit8254Test, BcdCounts) {
    program(0, 2, 0x1234, 0, true);
    EXPECT_EQ(chip.counter(0).period(1), 1234u);
    EXPECT_EQ(read16(0, 1), 0x1234);
    EXPECT_EQ(read16(0, 6), 0x1229);
    program(0, 2, 0xffff, 0, true);  // no digits: something, but no crash
    EXPECT_TRUE(chip.counter(0).period(1).has_value());
}

TEST_F(Pit8254Test, SingleByteAccess) {
    chip.write(3, 0x14, 0);  // counter 0, low byte only, mode 2
    chip.write(0, 0x20, 0);
    EXPECT_EQ(chip.counter(0).period(1), 0x20u);
    EXPECT_EQ(chip.read(0, 1), 0x20);
    EXPECT_EQ(chip.read(0, 2), 0x1f);
    chip.write(3, 0x24, 10);  // high byte only
    chip.write(0, 0x20, 10);
    EXPECT_EQ(chip.counter(0).period(11), 0x2000u);
    EXPECT_EQ(chip.read(0, 11), 0x20);
}

TEST_F(Pit8254Test, LatchHoldsUntilRead) {
    program(0, 2, 1000, 0);
    chip.write(3, 0x00, 101);
    chip.write(3, 0x00, 301);  // ignored: not read yet
    EXPECT_EQ(read16(0, 501), 900);
    EXPECT_EQ(read16(0, 601), 400);
}

TEST_F(Pit8254Test, ReadBackLatchesStatusAndCountOfSeveralCounters) {
    program(0, 2, 1000, 0);
    program(2, 0, 50, 0);
    chip.write(3, 0xca, 1);
    EXPECT_EQ(chip.read(0, 500), 0xb4);  // status first: output high, both bytes, mode 2
    EXPECT_EQ(read16(0, 500), 1000);     // then the count of the moment of the command
    EXPECT_EQ(chip.read(2, 500), 0x30);
    EXPECT_EQ(read16(2, 500), 50);
    EXPECT_EQ(read16(0, 501), 500);
}

TEST_F(Pit8254Test, ReadBackStatusBits) {
    program(2, 0, 50, 0);
    chip.write(3, 0xe8, 10);  // status of counter 2 only
    EXPECT_EQ(chip.read(2, 10), 0x30);
    chip.write(3, 0xe8, 60);
    EXPECT_EQ(chip.read(2, 60), 0xb0);
    chip.write(3, 0xd8, 21);  // count only
    EXPECT_EQ(read16(2, 99), 30);
    control(2, 3, 100);
    chip.write(3, 0xe8, 100);
    EXPECT_EQ(chip.read(2, 100), 0xf6);  // null count until a count is written
}

TEST_F(Pit8254Test, Modes6And7AreModes2And3) {
    control(0, 6, 0);
    EXPECT_EQ(chip.counter(0).mode(), 2u);
    control(0, 7, 0);
    EXPECT_EQ(chip.counter(0).mode(), 3u);
}

TEST_F(Pit8254Test, ClocksAndNanosecondsAgree) {
    for (uint64_t clocks : {0ull, 1ull, 1193182ull, 123456789012ull}) {
        EXPECT_EQ(Pit8254::clocks_at(Pit8254::ns_at(clocks)), clocks);
    }
    EXPECT_EQ(Pit8254::clocks_at(1'000'000'000), 1193182u);
}

}  // namespace
}  // namespace mynah
