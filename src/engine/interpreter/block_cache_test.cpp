#include "engine/interpreter/block_cache.h"

#include <gtest/gtest.h>

#include <vector>

namespace mynah::interpreter {
namespace {

const CodeMode kLong{
    .code_size = CodeSize::k64, .stack_size = CodeSize::k64, .protected_mode = true};
const CodeMode kReal{};
constexpr size_t kArenaBytes = 1u << 20, kRamBytes = 1u << 30;

std::vector<std::byte> pattern(size_t size) {
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
    return bytes;
}

TEST(BlockCache, FindsByAddressAndMode) {
    BlockCache cache(kArenaBytes, 0, kRamBytes);
    std::array<Op, 2> ops;
    const auto bytes = pattern(3);
    Block* block = cache.insert(0x1000, kLong, ops, bytes, false);
    EXPECT_EQ(cache.find(0x1000, kLong), block);
    EXPECT_EQ(cache.find(0x1000, kReal), nullptr);
    EXPECT_EQ(cache.find(0x1001, kLong), nullptr);
    cache.remove(block);
    EXPECT_EQ(cache.find(0x1000, kLong), nullptr);
}

TEST(BlockCache, NoticesAChangeOfAnyByteOfAnyLength) {
    BlockCache cache(kArenaBytes, 0, kRamBytes);
    std::array<Op, 2> ops;
    for (size_t size = 1; size <= 40; ++size) {
        auto bytes = pattern(size);
        const Block* block = cache.insert(size << 12, kLong, ops, bytes, false);
        EXPECT_TRUE(block->matches(bytes.data()));
        for (size_t i = 0; i < size; ++i) {
            bytes[i] ^= std::byte{0x80};
            EXPECT_FALSE(block->matches(bytes.data())) << size << " bytes, byte " << i;
            bytes[i] ^= std::byte{0x80};
        }
    }
}

TEST(BlockCache, EmptiesItselfWhenFull) {
    BlockCache cache(kArenaBytes, 0, kRamBytes);
    std::array<Op, 64> ops;
    const auto bytes = pattern(200);
    const size_t enough = kArenaBytes / sizeof ops + 10;
    for (size_t i = 0; i < enough; ++i) cache.insert(i * 16, kLong, ops, bytes, false);
    EXPECT_EQ(cache.find(0, kLong), nullptr);
    EXPECT_NE(cache.find((enough - 1) * 16, kLong), nullptr);
}

TEST(BlockCache, RemembersWhichPagesHoldCode) {
    BlockCache cache(kArenaBytes, 0, kRamBytes);
    std::array<Op, 2> ops;
    cache.insert(0x7f0000005123, kLong, ops, pattern(3), false);
    EXPECT_TRUE(cache.is_code_page(0x7f0000005000));
    EXPECT_FALSE(cache.is_code_page(0x7f0000006000));
    cache.clear();
    EXPECT_FALSE(cache.is_code_page(0x7f0000005000));
}

}  // namespace
}  // namespace mynah::interpreter
