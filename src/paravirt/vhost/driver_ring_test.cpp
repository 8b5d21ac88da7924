#include "paravirt/vhost/driver_ring.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>

#include "backend/vhost/shared_memory.h"
#include "memory/dma_view.h"
#include "paravirt/virtio/split_ring.h"

namespace mynah {
namespace {

constexpr uint16_t kEntries = 8;
constexpr uint64_t kRings = 1 << 20;  // where the back end sees the rings

// A driver's ring, and the device's side over the same memory as a back end has it.
struct Pair {
    Pair()
        : shared(SharedMemory::create("test", DriverRing::memory_size(kEntries)).take_value()),
          ram(SharedMemory::create("ram", 1 << 16).take_value()),
          memory(GuestMemory::adopt({{GuestPhys{0}, 1 << 16, ram->fd(), 0},
                                     {GuestPhys{kRings}, shared->bytes().size(), shared->fd(), 0}})
                     .take_value()),
          view(*memory),
          driver(shared->bytes(), kRings, kEntries),
          device(view) {}

    void start(bool indirect) {
        driver.restart(indirect);
        const auto at = [&](const std::byte* place) {
            return GuestPhys{kRings + static_cast<uint64_t>(place - shared->bytes().data())};
        };
        ASSERT_TRUE(device.start({kEntries, at(driver.descriptors()), at(driver.available()),
                                  at(driver.used())},
                                 {.indirect = indirect, .max_chain = 2 * kEntries}));
    }
    // The memory as the back end may write to it.
    std::byte* used() { return shared->bytes().data() + (driver.used() - driver.descriptors()); }

    std::unique_ptr<SharedMemory> shared, ram;
    std::unique_ptr<GuestMemory> memory;
    DmaView view;
    DriverRing driver;
    SplitRing device;
};

constexpr std::array kPieces{DriverRing::Piece{0x100, 16, false},
                             DriverRing::Piece{0x300, 32, true},
                             DriverRing::Piece{0x500, 8, true}};

TEST(DriverRing, ChainsGoThereAndBack) {
    for (const bool indirect : {false, true}) {
        Pair pair;
        pair.start(indirect);
        DescriptorChain chain;
        for (unsigned round = 0; round < 70000; ++round) {  // past the end of the indices
            const uint16_t head = pair.driver.add(kPieces);
            ASSERT_TRUE(pair.device.has_available());
            ASSERT_TRUE(pair.device.take(chain));
            ASSERT_EQ(chain.head, head);
            ASSERT_EQ(chain.readable.size(), 16u);
            ASSERT_EQ(chain.writable.size(), 40u);
            ASSERT_FALSE(pair.driver.take_used());
            ASSERT_TRUE(pair.device.give_back(head, 33));
            const auto used = pair.driver.take_used();
            ASSERT_TRUE(used);
            ASSERT_EQ(used->id, head);
            ASSERT_EQ(used->length, 33u);
        }
    }
}

TEST(DriverRing, SaysWhatFits) {
    Pair pair;
    pair.start(false);
    EXPECT_FALSE(pair.driver.possible(kEntries + 1));
    pair.driver.add(kPieces);
    pair.driver.add(kPieces);
    EXPECT_TRUE(pair.driver.fits(2));
    EXPECT_FALSE(pair.driver.fits(3));
    pair.start(true);
    for (unsigned i = 0; i < kEntries; ++i) {
        EXPECT_TRUE(pair.driver.fits(3));
        pair.driver.add(kPieces);
    }
    EXPECT_FALSE(pair.driver.fits(1));
}

// A back end that writes anything into the used ring.
TEST(DriverRing, BelievesNoBackEnd) {
    const auto answer = [](uint32_t id, uint16_t index) {
        Pair pair;
        pair.start(true);
        pair.driver.add(kPieces);
        const virtio::UsedElement element{id, ~0u};
        for (uint16_t slot = 0; slot < kEntries; ++slot)
            std::memcpy(pair.used() + virtio::used_entry(slot), &element, sizeof element);
        std::memcpy(pair.used() + virtio::kUsedIdx, &index, sizeof index);
        unsigned taken = 0;
        while (pair.driver.take_used()) ++taken;
        return std::pair(taken, pair.driver.broken());
    };
    EXPECT_EQ(answer(0, 1), std::pair(1u, false));
    EXPECT_EQ(answer(0, 2), std::pair(1u, true));      // the same chain twice
    EXPECT_EQ(answer(0, 40000), std::pair(1u, true));  // more than was ever out
    EXPECT_EQ(answer(3, 1), std::pair(0u, true));      // a chain that is not out
    EXPECT_EQ(answer(kEntries, 1), std::pair(0u, true));
    EXPECT_EQ(answer(~0u, 1), std::pair(0u, true));
}

}  // namespace
}  // namespace mynah
