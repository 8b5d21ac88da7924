#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <vector>

#include "memory/discard.h"
#include "memory/guest_memory.h"

namespace mynah {
namespace {

constexpr uint64_t kRam = 64 * kPageSize;

struct Pages final : WriteWatch::Listener {
    void written(uint64_t page, unsigned, unsigned) override { pages.push_back(page); }
    std::vector<uint64_t> pages;
};

class DiscardTest : public ::testing::Test {
  protected:
    std::unique_ptr<GuestMemory> memory_ = [] {
        const std::array<GuestMemory::Range, 2> ranges{
            {{GuestPhys{0}, kRam / 2}, {GuestPhys{kRam}, kRam / 2}}};
        return GuestMemory::create(ranges, 4 * kPageSize).take_value();
    }();
};

TEST_F(DiscardTest, WhatIsDiscardedReadsAsZeroesThroughEveryMapping) {
    ASSERT_TRUE(memory_->fill(GuestPhys{0}, std::byte{7}, kRam / 2));
    std::byte* const here = memory_->host(GuestPhys{kPageSize}, kPageSize);
    void* const second = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory_->fd(),
                              static_cast<off_t>(memory_->file_offset(here)));
    ASSERT_NE(second, MAP_FAILED);
    EXPECT_EQ(*static_cast<std::byte*>(second), std::byte{7});
    EXPECT_TRUE(discard_memory(*memory_, GuestPhys{kPageSize}, 2 * kPageSize));
    EXPECT_EQ(*static_cast<std::byte*>(second), std::byte{0});
    EXPECT_EQ(here[0], std::byte{0});
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{kPageSize - 1}), 7);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{3 * kPageSize}), 7);
    // It is memory as before.
    here[5] = std::byte{9};
    EXPECT_EQ(static_cast<std::byte*>(second)[5], std::byte{9});
    munmap(second, kPageSize);
}

TEST_F(DiscardTest, WhoWatchesAPageHearsOfIt) {
    Pages pages;
    const unsigned index = memory_->watch().add(pages);
    memory_->watch().watch(3, index);
    memory_->watch().watch(5, index);
    EXPECT_TRUE(discard_memory(*memory_, GuestPhys{2 * kPageSize}, 3 * kPageSize));
    EXPECT_EQ(pages.pages, std::vector<uint64_t>{3});
    memory_->watch().remove(pages);
}

TEST_F(DiscardTest, OnlyWholePagesOfRamAreTaken) {
    EXPECT_FALSE(discard_memory(*memory_, GuestPhys{1}, kPageSize));
    EXPECT_FALSE(discard_memory(*memory_, GuestPhys{0}, kPageSize + 1));
    EXPECT_FALSE(discard_memory(*memory_, GuestPhys{kRam / 2 - kPageSize}, 2 * kPageSize));
    EXPECT_FALSE(discard_memory(*memory_, GuestPhys{~uint64_t{0} - kPageMask}, 2 * kPageSize));
    EXPECT_TRUE(discard_memory(*memory_, GuestPhys{kRam}, kPageSize));
    EXPECT_TRUE(discard_memory(*memory_, GuestPhys{0}, 0));
    // Blocks are not the guest's to give, and what is read-only is not either.
    const GuestMemory::Block block = memory_->take_block(kPageSize);
    EXPECT_FALSE(discard_memory(*memory_, std::span(block.host, block.size)));
    MemoryOverlay overlay;
    overlay.kind = MemoryOverlay::Kind::kReadOnly;
    overlay.start = GuestPhys{0};
    overlay.size = kPageSize;
    memory_->set_overlay(memory_->take_overlay(), overlay);
    EXPECT_FALSE(discard_memory(*memory_, GuestPhys{0}, kPageSize));
}

}  // namespace
}  // namespace mynah
