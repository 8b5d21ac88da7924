#include "memory/memory_map.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

namespace mynah {
namespace {

using Kind = MemoryOverlay::Kind;
constexpr MemoryMap::Ram kRam[] = {{GuestPhys(0), 0x100000, 0},
                                   {GuestPhys(0x200000), 0x10000, 0x100000}};

std::optional<MemoryMap::Run> at(const MemoryMap& map, uint64_t address,
                                 MemoryView view = MemoryView::kNormal) {
    MemoryMap::Run run{};
    if (!map.find(GuestPhys(address), view, run)) return std::nullopt;
    return run;
}

TEST(MemoryMap, RamIsFoundWithWhatFollows) {
    MemoryMap map(kRam);
    EXPECT_EQ(at(map, 0)->size, 0x100000u);
    EXPECT_EQ(at(map, 0xfffff)->size, 1u);
    EXPECT_FALSE(at(map, 0x100000));
    EXPECT_EQ(at(map, 0x200010)->offset, 0x100010u);
    EXPECT_FALSE(at(map, 0x210000));
    EXPECT_FALSE(at(map, ~uint64_t{0}));
}

TEST(MemoryMap, AHoleHidesAndUncovers) {
    MemoryMap map(kRam);
    const unsigned slot = map.take_slot();
    EXPECT_TRUE(map.set(slot, {.start = GuestPhys(0xa0000), .size = 0x20000, .kind = Kind::kHole}));
    EXPECT_FALSE(
        map.set(slot, {.start = GuestPhys(0xa0000), .size = 0x20000, .kind = Kind::kHole}));
    EXPECT_EQ(at(map, 0x9f000)->size, 0x1000u);
    EXPECT_FALSE(at(map, 0xa0000));
    EXPECT_FALSE(at(map, 0xbffff));
    EXPECT_EQ(at(map, 0xc0000)->offset, 0xc0000u);
    EXPECT_TRUE(map.set(slot, {}));
    EXPECT_EQ(at(map, 0x9f000)->size, 0x61000u);  // one run again
}

TEST(MemoryMap, TheLaterSlotLiesOnTop) {
    MemoryMap map(kRam);
    const unsigned below = map.take_slot(), above = map.take_slot();
    map.set(
        above,
        {.start = GuestPhys(0xf0000), .size = 0x8000, .kind = Kind::kMemory, .offset = 0xf0000});
    map.set(below, {.start = GuestPhys(0xe0000),
                    .size = 0x20000,
                    .kind = Kind::kReadOnly,
                    .offset = 0x110000});
    EXPECT_FALSE(at(map, 0xe0000)->writable);
    EXPECT_EQ(at(map, 0xe0000)->size, 0x10000u);
    EXPECT_TRUE(at(map, 0xf0000)->writable);
    EXPECT_EQ(at(map, 0xf8000)->offset, 0x128000u);
}

TEST(MemoryMap, ViewsDiffer) {
    MemoryMap map(kRam);
    const unsigned slot = map.take_slot();
    map.set(
        slot,
        {.start = GuestPhys(0x80000), .size = 0x1000, .kind = Kind::kHole, .management = false});
    EXPECT_FALSE(at(map, 0x80000));
    EXPECT_TRUE(at(map, 0x80000, MemoryView::kManagement));
}

TEST(MemoryMap, OverlaysMayLieWhereNoRamIs) {
    MemoryMap map(kRam);
    const unsigned slot = map.take_slot();
    map.set(slot, {.start = GuestPhys(0xfff00000),
                   .size = 0x100000,
                   .kind = Kind::kReadOnly,
                   .offset = 0x110000});
    EXPECT_EQ(at(map, 0xffffffff)->offset, 0x20ffffu);
    EXPECT_FALSE(at(map, 0x100000000));
}

TEST(MemoryMap, ReadersSeeOldOrNewAndNothingBetween) {
    MemoryMap map(kRam);
    const unsigned slot = map.take_slot();
    std::atomic<bool> stop{false}, wrong{false};
    std::thread reader([&] {
        while (!stop) {
            const auto run = at(map, 0xc1000);
            // RAM of its own offset, or the block's; never a mixture.
            if (!run || (run->offset != 0xc1000 && run->offset != 0x111000)) wrong = true;
            if (run && run->offset == 0x111000 && run->writable) wrong = true;
        }
    });
    for (unsigned i = 0; i < 2000; ++i) {
        map.set(slot, {.start = GuestPhys(0xc0000),
                       .size = 0x4000,
                       .kind = Kind::kReadOnly,
                       .offset = 0x110000});
        map.set(slot, {});
    }
    stop = true;
    reader.join();
    EXPECT_FALSE(wrong);
}

}  // namespace
}  // namespace mynah
