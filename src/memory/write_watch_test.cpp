#include "memory/write_watch.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "memory/dma_view.h"
#include "memory/guest_memory.h"

namespace mynah {
namespace {

constexpr uint64_t kPages = 16, kRacedPages = 4096;

struct Write {
    uint64_t page;
    unsigned begin, end;
    bool operator==(const Write&) const = default;
};

class Recorder final : public WriteWatch::Listener {
  public:
    void written(uint64_t page, unsigned begin, unsigned end) override {
        writes.push_back({page, begin, end});
    }
    std::vector<Write> writes;
};

class WriteWatchTest : public ::testing::Test {
  protected:
    std::vector<std::byte> memory_ = std::vector<std::byte>(kPages * kPageSize);
    WriteWatch watch_{memory_.data(), memory_.size()};
    std::byte* at(uint64_t page, unsigned offset) {
        return memory_.data() + page * kPageSize + offset;
    }
};

TEST_F(WriteWatchTest, ReportsOnlyWatchedPagesToThoseWhoWatch) {
    Recorder a, b;
    const unsigned number_a = watch_.add(a), number_b = watch_.add(b);
    watch_.wrote(at(1, 0), 8);
    EXPECT_FALSE(watch_.any());
    EXPECT_TRUE(watch_.watch(1, number_a));
    EXPECT_FALSE(watch_.watch(1, number_b));
    EXPECT_TRUE(watch_.watch(3, number_b));
    EXPECT_TRUE(watch_.watched(1));
    EXPECT_FALSE(watch_.watched(2));
    watch_.wrote(at(1, 16), 8);
    watch_.wrote(at(2, 0), kPageSize);
    watch_.wrote(at(3, 4095), 1);
    EXPECT_EQ(a.writes, (std::vector<Write>{{1, 16, 24}}));
    EXPECT_EQ(b.writes, (std::vector<Write>{{1, 16, 24}, {3, 4095, 4096}}));
}

TEST_F(WriteWatchTest, SplitsWritesAtPages) {
    Recorder a;
    const unsigned number = watch_.add(a);
    for (const uint64_t page : {1, 2, 4}) watch_.watch(page, number);
    watch_.wrote(at(1, 4000), 3 * kPageSize);
    EXPECT_EQ(a.writes, (std::vector<Write>{{1, 4000, 4096}, {2, 0, 4096}, {4, 0, 4000}}));
}

TEST_F(WriteWatchTest, TheWriterNeedNotHearOfItself) {
    Recorder a, b;
    for (Recorder* each : {&a, &b}) watch_.watch(5, watch_.add(*each));
    watch_.wrote(at(5, 0), 1, &a);
    EXPECT_TRUE(a.writes.empty());
    EXPECT_EQ(b.writes.size(), 1u);
}

TEST_F(WriteWatchTest, UnwatchEndsItForOneOnly) {
    Recorder a, b;
    const unsigned number_a = watch_.add(a), number_b = watch_.add(b);
    watch_.watch(5, number_a);
    watch_.watch(5, number_b);
    watch_.unwatch(5, number_a);
    EXPECT_TRUE(watch_.watched(5));
    watch_.wrote(at(5, 0), 1);
    EXPECT_TRUE(a.writes.empty());
    EXPECT_EQ(b.writes.size(), 1u);
    watch_.unwatch(5, number_b);
    EXPECT_FALSE(watch_.watched(5));
}

TEST_F(WriteWatchTest, RemovedListenersHearNothing) {
    Recorder a;
    watch_.watch(5, watch_.add(a));
    watch_.remove(a);
    watch_.wrote(at(5, 0), 1);
    EXPECT_TRUE(a.writes.empty());
}

// More listeners than marks: they share, and hear too much rather than too little.
TEST_F(WriteWatchTest, ServesMoreListenersThanMarks) {
    std::vector<Recorder> all(70);
    std::vector<unsigned> numbers;
    for (Recorder& each : all) numbers.push_back(watch_.add(each));
    watch_.watch(5, numbers[0]);
    watch_.watch(5, numbers[69]);
    watch_.unwatch(5, numbers[0]);  // may not take 64's mark away
    watch_.wrote(at(5, 0), 1);
    EXPECT_EQ(all[69].writes.size(), 1u);
    EXPECT_EQ(all[1].writes.size(), 0u);
}

TEST(WriteWatchOfMemory, SeesWritesByDevicesAndLoaders) {
    const GuestMemory::Range range{GuestPhys(0), kPages * kPageSize};
    const auto memory = GuestMemory::create({&range, 1}).take_value();
    Recorder a;
    memory->watch().watch(2, memory->watch().add(a));
    DmaView dma(*memory);
    EXPECT_TRUE(dma.store(GuestPhys(0x2010), uint32_t{1}));
    EXPECT_TRUE(memory->store(GuestPhys(0x2020), uint64_t{1}));
    EXPECT_TRUE(memory->fill(GuestPhys(0x1ff0), std::byte{1}, 0x20));
    EXPECT_EQ(a.writes, (std::vector<Write>{{2, 0x10, 0x14}, {2, 0x20, 0x28}, {2, 0, 0x10}}));
}

// Spins, for the sake of a close race, but not for long: there may be one processor only.
void wait_for(const std::atomic<unsigned>& other, unsigned number) {
    for (unsigned spins = 0; other.load() < number; ++spins) {
        if (spins > 200) std::this_thread::yield();
    }
}

// Who watches a page first and reads it then misses no write: either it reads what was written, or
// it is told. Two threads meet at each page.
TEST(WriteWatchOfMemory, NoWriteIsMissedByThoseWhoWatchFirst) {
    class Flags final : public WriteWatch::Listener {
      public:
        void written(uint64_t page, unsigned, unsigned) override { told[page].store(true); }
        std::array<std::atomic<bool>, kRacedPages> told{};
    };
    std::vector<std::array<std::atomic<uint32_t>, kPageSize / 4>> pages(kRacedPages);
    for (unsigned round = 0; round < 40; ++round) {
        WriteWatch watch(reinterpret_cast<const std::byte*>(pages.data()),
                         kRacedPages * kPageSize);
        Flags flags;
        const unsigned number = watch.add(flags);
        watch.watch(0, number);  // from now on something is watched
        for (auto& page : pages) page[0].store(0);
        std::atomic<unsigned> writer_at{0}, watcher_at{0};
        std::thread writer([&] {
            for (unsigned i = 1; i < kRacedPages; ++i) {
                writer_at.store(i);
                wait_for(watcher_at, i);
                pages[i][0].store(1, std::memory_order_relaxed);
                watch.wrote(pages[i].data(), 4);
            }
        });
        std::vector<uint32_t> seen(kRacedPages);
        for (unsigned i = 1; i < kRacedPages; ++i) {
            watcher_at.store(i);
            wait_for(writer_at, i);
            watch.watch(i, number);
            seen[i] = pages[i][0].load(std::memory_order_relaxed);
        }
        writer.join();
        unsigned missed = 0;
        for (unsigned i = 1; i < kRacedPages; ++i) missed += seen[i] == 0 && !flags.told[i];
        ASSERT_EQ(missed, 0u) << "round " << round;
        watch.remove(flags);
    }
}

}  // namespace
}  // namespace mynah
