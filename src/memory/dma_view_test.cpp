#include "memory/dma_view.h"

#include <gtest/gtest.h>

#include <array>

namespace mynah {
namespace {

// Two ranges that touch, then a hole, then one more.
std::unique_ptr<GuestMemory> three_ranges() {
    const std::array<GuestMemory::Range, 3> ranges{
        {{GuestPhys{0x1000}, 0x1000}, {GuestPhys{0x2000}, 0x2000}, {GuestPhys{0x10000}, 0x1000}}};
    return GuestMemory::create(ranges).take_value();
}

TEST(DmaView, ContainsCrossesRangesThatTouchButNoHole) {
    const auto memory = three_ranges();
    const DmaView view(*memory);
    EXPECT_TRUE(view.contains(GuestPhys{0x1000}, 0x3000));
    EXPECT_FALSE(view.contains(GuestPhys{0x1000}, 0x3001));
    EXPECT_FALSE(view.contains(GuestPhys{0xfff}, 2));
    EXPECT_FALSE(view.contains(GuestPhys{0x5000}, 1));
    EXPECT_TRUE(view.contains(GuestPhys{0x10fff}, 1));
    EXPECT_FALSE(view.contains(GuestPhys{0x11000}, 1));
    EXPECT_TRUE(view.contains(GuestPhys{0x5000}, 0));
}

TEST(DmaView, ContainsRefusesRangesThatWrapAround) {
    const auto memory = three_ranges();
    const DmaView view(*memory);
    EXPECT_FALSE(view.contains(GuestPhys{0x1000}, ~uint64_t{0}));
    EXPECT_FALSE(view.contains(GuestPhys{~uint64_t{0} - 3}, 0x3000));
}

TEST(DmaView, CopiesAcrossRanges) {
    const auto memory = three_ranges();
    const DmaView view(*memory);
    ASSERT_TRUE(view.store<uint32_t>(GuestPhys{0x1ffe}, 0x11223344));
    EXPECT_EQ(memory->load<uint16_t>(GuestPhys{0x2000}), 0x1122);
    EXPECT_EQ(view.load<uint32_t>(GuestPhys{0x1ffe}), 0x11223344u);
    EXPECT_EQ(view.load<uint32_t>(GuestPhys{0x3ffe}), std::nullopt);
    EXPECT_FALSE(view.store<uint32_t>(GuestPhys{0x3ffe}, 1));
    EXPECT_EQ(memory->load<uint16_t>(GuestPhys{0x3ffe}), 0);  // nothing was written
}

TEST(DmaView, SlicesAreTheMemoryItself) {
    const auto memory = three_ranges();
    const DmaView view(*memory);
    SliceList list;
    ASSERT_TRUE(view.slices(GuestPhys{0x1800}, 0x1000, list));
    EXPECT_FALSE(view.slices(GuestPhys{0x3800}, 0x1000, list));
    EXPECT_EQ(list.size(), 0x1000u);
    EXPECT_EQ(list.slices()[0].data(), memory->host(GuestPhys{0x1800}, 1));
}

TEST(DmaView, OrderedAccessesMustBeAligned) {
    const auto memory = three_ranges();
    const DmaView view(*memory);
    EXPECT_TRUE(view.store_release<uint16_t>(GuestPhys{0x1002}, 7));
    EXPECT_EQ(view.load_acquire<uint16_t>(GuestPhys{0x1002}), 7);
    EXPECT_FALSE(view.store_release<uint16_t>(GuestPhys{0x1003}, 7));
    EXPECT_EQ(view.load_acquire<uint16_t>(GuestPhys{0x1001}), std::nullopt);
    EXPECT_EQ(view.load_acquire<uint16_t>(GuestPhys{0x4000}), std::nullopt);
}

}  // namespace
}  // namespace mynah
