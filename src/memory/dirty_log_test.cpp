#include "memory/dirty_log.h"

#include <gtest/gtest.h>

#include <array>

#include "memory/dma_view.h"

namespace mynah {
namespace {

constexpr uint64_t kBlock = 70 * kPageSize;
constexpr uint64_t kAt = 0xd0000000;

struct Fixture : testing::Test {
    Fixture() {
        const GuestMemory::Range range{GuestPhys(0), 16 * kPageSize};
        memory = GuestMemory::create({&range, 1}, kBlock).take_value();
        block = memory->take_block(kBlock);
        memory->set_overlay(memory->take_overlay(), {.start = GuestPhys(kAt),
                                                     .size = kBlock,
                                                     .kind = MemoryOverlay::Kind::kMemory,
                                                     .offset = block.offset});
        memory->on_map_change([this] { ++flushes; });
        log = std::make_unique<DirtyLog>(*memory, block);
    }
    // What is dirty once the repeats are over.
    void settle() {
        for (unsigned i = 0; i < 4; ++i) log->collect(bits);
    }
    std::unique_ptr<GuestMemory> memory;
    GuestMemory::Block block;
    std::unique_ptr<DirtyLog> log;
    std::array<uint64_t, 2> bits{};
    unsigned flushes = 0;
};
using DirtyLogTest = Fixture;

TEST_F(DirtyLogTest, TheFirstLookSaysAllThenNothing) {
    log->collect(bits);
    EXPECT_EQ(bits[0], ~uint64_t{0});
    EXPECT_EQ(bits[1], 0x3fu);
    EXPECT_EQ(flushes, 1u);
    settle();
    EXPECT_EQ(bits[0] | bits[1], 0u);
    EXPECT_EQ(flushes, 1u);
}

TEST_F(DirtyLogTest, WritesByDmaAreSeenAndOnlyThere) {
    settle();
    DmaView dma(*memory);
    ASSERT_TRUE(dma.store<uint32_t>(GuestPhys(kAt + 65 * kPageSize - 2), 1));
    log->collect(bits);
    EXPECT_EQ(bits[0], 0u);
    EXPECT_EQ(bits[1], 3u);  // the write crosses from page 64 into 65
    settle();
    EXPECT_EQ(bits[1], 0u);
    ASSERT_TRUE(dma.store<uint32_t>(GuestPhys(0), 1));  // RAM, not the block
    log->collect(bits);
    EXPECT_EQ(bits[0] | bits[1], 0u);
}

TEST_F(DirtyLogTest, OnlyTheFirstWriteIsWatched) {
    settle();
    const uint64_t page = memory->watch().page_of(block.host);
    EXPECT_TRUE(memory->watch().watched(page));
    memory->watch().wrote(block.host, 1);
    EXPECT_FALSE(memory->watch().watched(page));
    log->collect(bits);
    EXPECT_EQ(bits[0], 1u);
    EXPECT_TRUE(memory->watch().watched(page));
}

}  // namespace
}  // namespace mynah
