#include "memory/slice_list.h"

#include <gtest/gtest.h>

#include <array>

namespace mynah {
namespace {

std::array<std::byte, 64> numbered() {
    std::array<std::byte, 64> bytes;
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    return bytes;
}

TEST(SliceList, JoinsSlicesThatTouchAndDropsEmptyOnes) {
    auto bytes = numbered();
    SliceList list;
    list.append(Slice(bytes).subspan(0, 8));
    list.append(Slice(bytes).subspan(8, 0));
    list.append(Slice(bytes).subspan(8, 8));
    list.append(Slice(bytes).subspan(32, 4));
    EXPECT_EQ(list.size(), 20u);
    ASSERT_EQ(list.slices().size(), 2u);
    EXPECT_EQ(list.slices()[0].size(), 16u);
}

TEST(SliceList, TakesTheFrontAcrossSlices) {
    auto bytes = numbered();
    SliceList list;
    list.append(Slice(bytes).subspan(0, 3));
    list.append(Slice(bytes).subspan(10, 3));
    list.append(Slice(bytes).subspan(20, 3));
    std::array<std::byte, 4> front;
    ASSERT_TRUE(list.take_front(front));
    EXPECT_EQ(front[2], std::byte{2});
    EXPECT_EQ(front[3], std::byte{10});
    EXPECT_EQ(list.size(), 5u);
    ASSERT_EQ(list.slices().size(), 2u);
    EXPECT_EQ(list.slices()[0][0], std::byte{11});
    std::array<std::byte, 6> too_much;
    EXPECT_FALSE(list.take_front(too_much));
    EXPECT_EQ(list.size(), 5u);
    std::array<std::byte, 5> rest;
    ASSERT_TRUE(list.take_front(rest));
    EXPECT_TRUE(list.empty());
    EXPECT_TRUE(list.slices().empty());
}

TEST(SliceList, TakesTheBackAcrossSlicesInOrder) {
    auto bytes = numbered();
    SliceList list, tail;
    list.append(Slice(bytes).subspan(0, 3));
    list.append(Slice(bytes).subspan(10, 3));
    EXPECT_FALSE(list.take_back(7, tail));
    ASSERT_TRUE(list.take_back(4, tail));
    EXPECT_EQ(list.size(), 2u);
    ASSERT_EQ(tail.slices().size(), 2u);
    EXPECT_EQ(tail.slices()[0].data(), &bytes[2]);
    EXPECT_EQ(tail.slices()[1].data(), &bytes[10]);
    ASSERT_TRUE(list.take_back(2, tail));
    EXPECT_TRUE(list.slices().empty());
    EXPECT_TRUE(list.take_back(0, tail));
}

TEST(SliceList, FillStopsAtTheEndOfEither) {
    auto bytes = numbered();
    SliceList list;
    list.append(Slice(bytes).subspan(0, 2));
    list.append(Slice(bytes).subspan(4, 2));
    const std::array<std::byte, 3> three{std::byte{0xaa}, std::byte{0xbb}, std::byte{0xcc}};
    EXPECT_EQ(list.fill(three), 3u);
    EXPECT_EQ(bytes[4], std::byte{0xcc});
    EXPECT_EQ(bytes[5], std::byte{5});
    const std::array<std::byte, 8> eight{};
    EXPECT_EQ(list.fill(eight), 4u);
}

}  // namespace
}  // namespace mynah
