#include "bus/io_space.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bus/byte_window.h"

namespace mynah {
namespace {

class Recorder final : public IoHandler {
 public:
    uint64_t read(uint64_t offset, unsigned size) override {
        log.push_back("r" + std::to_string(offset) + "/" + std::to_string(size));
        return ~uint64_t{0} << 8 | (offset + base);
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        log.push_back("w" + std::to_string(offset) + "/" + std::to_string(size) + "=" +
                      std::to_string(value));
    }
    uint64_t base = 0;
    std::vector<std::string> log;
};

using Log = std::vector<std::string>;

TEST(IoSpace, NobodyHomeReadsAllOnesInTheAccessWidth) {
    IoSpace space;
    EXPECT_EQ(space.read(0x100, 1), 0xffu);
    EXPECT_EQ(space.read(0x100, 4), 0xffffffffu);
    EXPECT_EQ(space.read(0x100, 8), ~uint64_t{0});
    space.write(0x100, 4, 1);
}

TEST(IoSpace, FindsTheRangeAndCountsOffsetsFromItsStart) {
    IoSpace space;
    Recorder low, high;
    ASSERT_TRUE(space.add("high", 0x200, 0x10, high).ok());
    ASSERT_TRUE(space.add("low", 0x100, 0x10, low).ok());
    EXPECT_EQ(space.read(0x10f, 1), 0x0fu);  // cut to the width
    space.write(0x204, 2, 0x12345);
    EXPECT_EQ(low.log, (Log{"r15/1"}));
    EXPECT_EQ(high.log, (Log{"w4/2=9029"}));
    EXPECT_EQ(space.read(0x110, 1), 0xffu);
    EXPECT_EQ(space.read(0xff, 1), 0xffu);
}

TEST(IoSpace, SplitsWhatStraddlesRangesIntoBytes) {
    IoSpace space;
    Recorder left, right;
    right.base = 0x50;
    ASSERT_TRUE(space.add("left", 0x10, 2, left).ok());
    ASSERT_TRUE(space.add("right", 0x12, 1, right).ok());
    EXPECT_EQ(space.read(0x11, 4), 0xffff5001u);
    space.write(0x0f, 4, 0x44332211);
    EXPECT_EQ(left.log, (Log{"r1/1", "w0/1=34", "w1/1=51"}));
    EXPECT_EQ(right.log, (Log{"r0/1", "w0/1=68"}));
}

TEST(IoSpace, AnAccessAcrossTheTopOfTheSpaceEnds) {
    IoSpace space;
    Recorder top;
    ASSERT_TRUE(space.add("top", ~uint64_t{0} - 3, 4, top).ok());
    EXPECT_EQ(space.read(~uint64_t{0}, 4), 0xffffff03u);
}

TEST(IoSpace, RefusesOverlapAndNamesBoth) {
    IoSpace space;
    Recorder handler;
    ASSERT_TRUE(space.add("timer", 0x40, 4, handler).ok());
    for (uint64_t start : {0x3du, 0x40u, 0x42u, 0x43u}) {
        Result<void> result = space.add("other", start, 4, handler);
        ASSERT_FALSE(result.ok()) << start;
        EXPECT_NE(result.error().message().find("timer"), std::string::npos);
        EXPECT_NE(result.error().message().find("other"), std::string::npos);
    }
    EXPECT_FALSE(space.add("around", 0x30, 0x100, handler).ok());
    EXPECT_TRUE(space.add("before", 0x3c, 4, handler).ok());
    EXPECT_TRUE(space.add("after", 0x44, 4, handler).ok());
}

TEST(IoSpace, MovableRangesComeMoveAndGo) {
    IoSpace space;
    Recorder bar, other;
    space.place(0x1000, 0x100, bar);
    EXPECT_NE(space.read(0x1000, 1), 0xffu);
    space.place(0x2000, 0x100, bar);
    EXPECT_EQ(space.read(0x1000, 1), 0xffu);
    EXPECT_EQ(space.read(0x20fe, 1), 0xfeu);
    space.withdraw(bar);
    EXPECT_EQ(space.read(0x2000, 1), 0xffu);
    space.withdraw(other);
}

TEST(IoSpace, AFixedRangeAnswersBeforeAMovableOne) {
    IoSpace space;
    Recorder fixed, bar;
    ASSERT_TRUE(space.add("fixed", 0x40, 4, fixed).ok());
    space.place(0x30, 0x20, bar);
    fixed.base = 0x80;
    EXPECT_EQ(space.read(0x41, 1), 0x81u);
    EXPECT_EQ(space.read(0x31, 1), 0x01u);
    EXPECT_EQ(space.read(0x46, 1), 0x16u);
}

class TwoBytes {
 public:
    uint8_t read(unsigned offset) { return static_cast<uint8_t>(0xa0 + offset); }
    void write(unsigned offset, uint8_t value) { bytes[offset] = value; }
    uint8_t bytes[4] = {};
};

TEST(ByteWindow, SplitsWideAccessesInAscendingOrder) {
    TwoBytes device;
    ByteWindow<TwoBytes> window(device, &TwoBytes::read, &TwoBytes::write);
    EXPECT_EQ(window.read(1, 2), 0xa2a1u);
    window.write(0, 4, 0x44332211);
    EXPECT_EQ(device.bytes[0], 0x11);
    EXPECT_EQ(device.bytes[3], 0x44);
}

}  // namespace
}  // namespace mynah
