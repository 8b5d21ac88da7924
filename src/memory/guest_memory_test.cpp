#include "memory/guest_memory.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory/discard.h"
#include "memory/dma_view.h"
#include "memory/fault_guard.h"

namespace mynah {
namespace {

constexpr uint64_t kRam = 16 * kPageSize, kFile = 8 * kPageSize;
constexpr GuestPhys kFar{uint64_t{1} << 32};

// Memory with a block that is a file, seen at kFar.
class BackedBlockTest : public ::testing::Test {
  protected:
    BackedBlockTest() {
        char path[] = "/tmp/backed-XXXXXX";
        file_ = mkstemp(path);
        EXPECT_GE(file_, 0);
        unlink(path);
        EXPECT_EQ(ftruncate(file_, kFile), 0);
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        memory_ = GuestMemory::create({&range, 1}, kFile + 2 * kPageSize, {.end = kFar + kFile})
                      .take_value();
        first_ = memory_->take_block(kPageSize);
        block_ = memory_->take_block(kFile);
        EXPECT_TRUE(memory_->back_block(block_, dup(file_)));
        MemoryOverlay overlay;
        overlay.start = kFar;
        overlay.size = kFile;
        overlay.kind = MemoryOverlay::Kind::kMemory;
        overlay.offset = block_.offset;
        memory_->set_overlay(memory_->take_overlay(), overlay);
    }
    ~BackedBlockTest() override { close(file_); }

    int file_ = -1;
    std::unique_ptr<GuestMemory> memory_;
    GuestMemory::Block first_, block_;
};

TEST_F(BackedBlockTest, WhatIsWrittenIsInTheFile) {
    ASSERT_TRUE(memory_->store(kFar + 5000, uint32_t{0x12345678}));
    uint32_t value = 0;
    ASSERT_EQ(pread(file_, &value, sizeof value, 5000), ssize_t{sizeof value});
    EXPECT_EQ(value, 0x12345678u);
    value = 77;
    ASSERT_EQ(pwrite(file_, &value, sizeof value, 100), ssize_t{sizeof value});
    EXPECT_EQ(memory_->load<uint32_t>(kFar + 100), 77u);
    EXPECT_TRUE(DmaView(*memory_).contains(kFar, kFile));
    EXPECT_FALSE(DmaView(*memory_).contains(kFar, kFile + 1));
    EXPECT_EQ(memory_->end(), kFar + kFile);
    EXPECT_EQ(memory_->size(), kRam);
}

TEST_F(BackedBlockTest, EveryByteHasAFile) {
    const auto pieces = memory_->pieces();
    ASSERT_EQ(pieces.size(), 3u);
    uint64_t end = 0;
    for (const GuestMemory::Piece& piece : pieces) {
        EXPECT_EQ(piece.offset, end);
        end += piece.size;
    }
    EXPECT_EQ(end, memory_->file_size());
    EXPECT_EQ(pieces[0].fd, memory_->fd());
    EXPECT_EQ(pieces[1].fd_offset, 0u);
    EXPECT_EQ(pieces[2].fd_offset, pieces[2].offset);
    const auto place = memory_->file_place(block_.host + 3 * kPageSize);
    EXPECT_EQ(place.fd, pieces[1].fd);
    EXPECT_EQ(place.offset, 3 * kPageSize);
    EXPECT_EQ(memory_->file_place(first_.host).fd, memory_->fd());
}

TEST_F(BackedBlockTest, IsNotDiscarded) {
    ASSERT_TRUE(memory_->store(kFar, uint8_t{1}));
    EXPECT_FALSE(discard_memory(*memory_, kFar, kPageSize));
    EXPECT_EQ(memory_->load<uint8_t>(kFar), 1);
}

TEST_F(BackedBlockTest, SurvivesAFileThatShrinks) {
    survive_shrinking_memory();
    ASSERT_TRUE(memory_->store(kFar + 7 * kPageSize, uint8_t{1}));
    ASSERT_EQ(ftruncate(file_, kPageSize), 0);
    EXPECT_EQ(memory_->load<uint8_t>(kFar + 7 * kPageSize), 0);
    EXPECT_TRUE(memory_->store(kFar + 7 * kPageSize, uint8_t{2}));
}

}  // namespace
}  // namespace mynah
