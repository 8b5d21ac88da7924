#include "engine/write_log.h"

#include <gtest/gtest.h>

#include <cstring>

namespace mynah {
namespace {

class WriteLogTest : public ::testing::Test {
  protected:
    static constexpr unsigned kPages = 12;
    alignas(4096) std::array<std::array<std::byte, kPageSize>, kPages> memory_{};
    WriteLog log_;

    std::byte* page(unsigned i) { return memory_[i].data(); }
    void store(unsigned i, unsigned offset, unsigned value) {
        ASSERT_TRUE(log_.admits(page(i), true));
        memory_[i][offset] = static_cast<std::byte>(value);
    }
};

TEST_F(WriteLogTest, UndoesAndCompares) {
    log_.begin();
    store(1, 5, 7);
    log_.undo();
    EXPECT_EQ(memory_[1][5], std::byte{0});
    EXPECT_NE(log_.differences(), "");
    store(1, 5, 7);
    EXPECT_EQ(log_.differences(), "");
    store(1, 5, 8);
    EXPECT_NE(log_.differences().find("before 00, then 07 and 08"), std::string::npos);
    log_.end();
}

TEST_F(WriteLogTest, SeesPagesThatOnlyTheSecondWrote) {
    log_.begin();
    log_.undo();
    store(2, 0, 1);
    EXPECT_NE(log_.differences(), "");
    memory_[2][0] = std::byte{0};
    EXPECT_EQ(log_.differences(), "");
}

TEST_F(WriteLogTest, UndoLeavesAloneWhatWasNotChanged) {
    log_.begin();
    store(1, 5, 7);
    log_.undo();
    memory_[1][6] = std::byte{9};  // a device
    store(1, 5, 7);
    EXPECT_EQ(memory_[1][6], std::byte{9});
}

TEST_F(WriteLogTest, WalksAreNotStores) {
    log_.begin();
    store(3, 0, 1);
    log_.before_walk();
    memory_[3][8] = std::byte{0x20};  // an accessed bit
    log_.after_walk();
    log_.undo();
    EXPECT_EQ(memory_[3][0], std::byte{0});
    EXPECT_EQ(memory_[3][8], std::byte{0x20});
    store(3, 0, 1);
    log_.before_walk();
    memory_[3][16] = std::byte{0x20};
    log_.after_walk();
    EXPECT_EQ(log_.differences(), "");
}

// The page-table entry that was stored is walked at once by the first, and not by the second, whose
// TLB has it.
TEST_F(WriteLogTest, EntriesMayBeStoredAndThenWalked) {
    log_.begin();
    store(3, 0, 1);
    log_.before_walk();
    memory_[3][0] |= std::byte{0x20};
    log_.after_walk();
    log_.undo();
    store(3, 0, 1);
    EXPECT_EQ(log_.differences(), "");
    EXPECT_EQ(memory_[3][0], std::byte{0x21});
}

// A device wrote between the two runs: the second trial shows it, and nothing is lost.
TEST_F(WriteLogTest, OthersWritesAreGivenBack) {
    log_.begin();
    store(1, 0, 1);
    memory_[1][100] = std::byte{5};  // a device, while the first ran
    log_.undo();
    store(1, 0, 1);
    memory_[1][200] = std::byte{6};  // and while the second ran
    EXPECT_NE(log_.differences(), "");
    log_.start_over();
    EXPECT_EQ(memory_[1][0], std::byte{0});
    EXPECT_EQ(memory_[1][100], std::byte{0});
    log_.begin();
    store(1, 0, 1);
    log_.undo();
    store(1, 0, 1);
    EXPECT_EQ(log_.differences(), "");
    log_.give_back();
    EXPECT_EQ(memory_[1][0], std::byte{1});
    EXPECT_EQ(memory_[1][100], std::byte{5});
    EXPECT_EQ(memory_[1][200], std::byte{6});
}

TEST_F(WriteLogTest, PagesThatAreNotWrittenAreForgotten) {
    log_.begin();
    store(1, 0, 1);
    log_.undo();
    for (unsigned i = 0; i < 20; ++i) {
        log_.begin();
        log_.undo();
    }
    log_.begin();
    EXPECT_FALSE(log_.admits(page(1), false));
}

// What stays admitted is kept anew for every trial; the rest loses its write tags.
TEST_F(WriteLogTest, FewPagesStayAdmitted) {
    std::array<SoftTlb::Entry, kPages> entries{};
    log_.begin();
    for (unsigned i = 0; i < kPages; ++i) {
        store(i, 0, 1);
        entries[i] = {.read_tag = 0x5000, .write_tag = 0x5000, .execute_tag = 0,
                      .host = reinterpret_cast<uintptr_t>(page(i))};
        log_.note_entry(page(i), entries[i], 5);
    }
    log_.end();
    EXPECT_FALSE(log_.admits(page(0), false) && log_.admits(reinterpret_cast<std::byte*>(this), true));
    log_.begin();
    unsigned admitted = 0;
    for (unsigned i = 0; i < kPages; ++i) {
        const bool tagged = entries[i].write_tag == 0x5000;
        EXPECT_EQ(tagged, log_.admits(page(i), false)) << i;
        EXPECT_EQ(entries[i].read_tag, 0x5000u);
        admitted += tagged ? 1 : 0;
    }
    EXPECT_GT(admitted, 0u);
    EXPECT_LT(admitted, kPages);
    EXPECT_TRUE(log_.admits(page(kPages - 1), false));  // the last one written
    memory_[kPages - 1][0] = std::byte{2};
    log_.undo();
    EXPECT_EQ(memory_[kPages - 1][0], std::byte{1});
}

// Outside of trials nothing new is admitted.
TEST_F(WriteLogTest, OutsideOfTrialsStoresAreNotKept) {
    EXPECT_FALSE(log_.admits(page(0), true));
    log_.begin();
    EXPECT_FALSE(log_.admits(page(0), false));
    EXPECT_TRUE(log_.admits(page(0), true));
    EXPECT_TRUE(log_.admits(page(0), false));
    log_.end();
    EXPECT_FALSE(log_.admits(page(1), true));
}

}  // namespace
}  // namespace mynah
