#include "paravirt/virtio/packed_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "testing/packed_queue.h"

namespace mynah {
namespace {

using testing::GuestAllocator;
using testing::GuestBuffer;
using testing::GuestPackedQueue;
using RingError = Ring::RingError;
using namespace virtio;

constexpr uint64_t kRam = 1 << 20;
constexpr GuestPhys kData{0x80000};
constexpr uint16_t kSize = 7;  // need not be a power of two [virtio-1.2 2.8.10.1]

class PackedRingTest : public ::testing::Test {
  protected:
    void start(bool event_index = false, bool indirect = true, uint32_t max_chain = 0) {
        queue_.emplace(allocator_, kSize);
        Ring::Features features;
        features.indirect = indirect;
        features.event_index = event_index;
        features.max_chain = max_chain;
        ASSERT_TRUE(ring_.start(layout(), features));
    }
    RingLayout layout() const {
        return {kSize, queue_->descriptors(), queue_->driver_area(), queue_->device_area()};
    }
    void expect_broken(RingError error) {
        EXPECT_FALSE(ring_.take(chain_));
        EXPECT_STREQ(ring_error_name(ring_.error()), ring_error_name(error));
        EXPECT_EQ(ring_.available(), 0);
        EXPECT_FALSE(ring_.give_back(0, 0));
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    GuestAllocator allocator_{*memory_, GuestPhys{0x1000}};
    std::optional<GuestPackedQueue> queue_;
    PackedRing ring_{view_};
    DescriptorChain chain_;
};

constexpr GuestBuffer kOne{kData, 4, true};

TEST_F(PackedRingTest, TakesAChainAndGivesItBackUnderItsId) {
    start();
    EXPECT_FALSE(ring_.has_available());
    const std::array<GuestBuffer, 3> buffers{
        {{kData, 16, false}, {kData + 0x100, 512, false}, {kData + 0x1000, 1, true}}};
    ASSERT_TRUE(queue_->add(buffers, 4711));
    EXPECT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_EQ(chain_.readable.size(), 528u);
    EXPECT_EQ(chain_.writable.size(), 1u);
    EXPECT_FALSE(queue_->take_used());
    EXPECT_TRUE(ring_.give_back(chain_.head, 1));
    const auto used = queue_->take_used();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->id, 4711u);
    EXPECT_EQ(used->length, 1u);
    EXPECT_EQ(queue_->room(), kSize);
}

TEST_F(PackedRingTest, IndirectTablesTakeOneDescriptor) {
    start(false, true, 16);
    std::vector<GuestBuffer> buffers(10, kOne);
    buffers[0].device_writes = false;
    ASSERT_TRUE(queue_->add(buffers, 1, true));
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_EQ(chain_.writable.size(), 36u);
    buffers.resize(17, kOne);
    ASSERT_TRUE(queue_->add(buffers, 2, true));
    expect_broken(RingError::kLoop);
}

// Any order of adding, taking, returning and putting back, against what must hold.
TEST_F(PackedRingTest, AnyOrderKeepsIdsAndLengths) {
    start(true);
    std::mt19937 random(1);
    std::map<uint16_t, std::pair<uint32_t, uint32_t>> wanted;  // id: buffer bytes, returned length
    struct Taken {
        uint16_t head;
        uint32_t size;
    };
    std::vector<Taken> taken;
    std::map<uint32_t, uint16_t> by_size;
    uint16_t next_id = 60000;
    uint32_t done = 0, next_size = 1;
    while (done < 20000) {
        switch (random() % 4) {
            case 0: {
                const uint32_t size = next_size++;
                std::vector<GuestBuffer> chain(1 + random() % 3, {kData, 0, true});
                chain[0].length = size;
                if (!queue_->add(chain, next_id, random() % 4 == 0)) break;
                by_size[size] = next_id;
                ++next_id;
                break;
            }
            case 1:
                if (!ring_.has_available()) break;
                ASSERT_TRUE(ring_.take(chain_));
                taken.push_back({chain_.head, static_cast<uint32_t>(chain_.writable.size())});
                if (random() % 5 == 0) {
                    ring_.untake(1);
                    taken.pop_back();
                }
                break;
            case 2: {
                if (taken.empty()) break;
                const size_t which = random() % taken.size();
                const Taken back = taken[which];
                taken.erase(taken.begin() + static_cast<ptrdiff_t>(which));
                const uint32_t length = 1 + random() % 1000;
                wanted[by_size[back.size]] = {back.size, length};
                (void)ring_.give_back(back.head, length);
                break;
            }
            case 3:
                while (const auto used = queue_->take_used()) {
                    const auto found = wanted.find(static_cast<uint16_t>(used->id));
                    ASSERT_NE(found, wanted.end());
                    EXPECT_EQ(used->length, found->second.second);
                    by_size.erase(found->second.first);
                    wanted.erase(found);
                    ++done;
                }
                break;
        }
        ASSERT_EQ(ring_.error(), RingError::kNone);
        if (next_size == 10000) next_size = 1;
    }
}

TEST_F(PackedRingTest, SeveralChainsAreSeenAtOnce) {
    start();
    std::array<UsedElement, 3> used;
    for (uint16_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(queue_->add({&kOne, 1}, i));
        ASSERT_TRUE(ring_.take(chain_));
        used[i] = {chain_.head, i + 1u};
    }
    ASSERT_TRUE(ring_.give_back_all(used));
    for (uint32_t i = 0; i < 3; ++i) {
        const auto each = queue_->take_used();
        ASSERT_TRUE(each);
        EXPECT_EQ(each->id, i);
        EXPECT_EQ(each->length, i + 1);
    }
}

// Each bell position and each interrupt position, twice around the ring.
TEST_F(PackedRingTest, BellsRingOnlyForWhatWasNotSeen) {
    start(true);
    for (uint16_t i = 0; i < 3 * kSize; ++i) {
        EXPECT_EQ(ring_.arm_notification(), 0);
        ASSERT_TRUE(queue_->add({&kOne, 1}, 1));
        EXPECT_TRUE(queue_->needs_bell());
        ASSERT_TRUE(queue_->add({&kOne, 1}, 2));
        EXPECT_FALSE(queue_->needs_bell());  // the first rang for both
        EXPECT_EQ(ring_.arm_notification(), 2);
        for (int each = 0; each < 2; ++each) {
            ASSERT_TRUE(ring_.take(chain_));
            (void)ring_.give_back(chain_.head, 0);
            ASSERT_TRUE(queue_->take_used());
        }
    }
}

TEST_F(PackedRingTest, InterruptsComeWhenTheDriverSaid) {
    start(true);
    for (uint16_t i = 0; i < 3 * kSize; ++i) {
        const auto round = [&](bool expected) {
            ASSERT_TRUE(queue_->add({&kOne, 1}, 1));
            ASSERT_TRUE(ring_.take(chain_));
            EXPECT_EQ(ring_.give_back(chain_.head, 0), expected) << i;
            ASSERT_TRUE(queue_->take_used());
        };
        queue_->set_events(kEventsOff);
        round(false);
        queue_->set_events(kEventsOn);
        round(true);
        queue_->set_events(kEventsAtPlace, queue_->used_place());
        round(true);
        round(false);  // it is passed
        // Two further on.
        const uint16_t at = queue_->used_place();
        const auto next = static_cast<uint16_t>((at & ~kPlaceWrap) + 1);
        const uint16_t wrap = at & kPlaceWrap;
        queue_->set_events(kEventsAtPlace, next == kSize ? static_cast<uint16_t>(wrap ^ kPlaceWrap)
                                                         : static_cast<uint16_t>(next | wrap));
        round(false);
        round(true);
    }
}

TEST_F(PackedRingTest, LayoutsThatBreakRulesAreRefused) {
    start();
    RingLayout bad = layout();
    bad.size = 0;
    EXPECT_FALSE(ring_.start(bad, {}));
    bad = layout();
    bad.size = 40000;
    EXPECT_FALSE(ring_.start(bad, {}));
    bad = layout();
    bad.descriptors = bad.descriptors + 8;
    EXPECT_FALSE(ring_.start(bad, {}));
    bad = layout();
    bad.used = GuestPhys{kRam - 2};
    EXPECT_FALSE(ring_.start(bad, {}));
    bad.used = GuestPhys{kRam};
    EXPECT_FALSE(ring_.start(bad, {}));
}

TEST_F(PackedRingTest, AChainAroundTheWholeRingHasNoEnd) {
    start();
    for (uint16_t i = 0; i < kSize; ++i)
        queue_->write_descriptor(i, {kData.value, 4, 1, kDescNext | kDescAvailable});
    EXPECT_EQ(ring_.available(), 1);  // so that somebody finds out
    expect_broken(RingError::kIndexJump);
}

TEST_F(PackedRingTest, WhatIsOutCannotBeMadeAvailableAgain) {
    start();
    for (uint16_t i = 0; i < kSize; ++i) {
        ASSERT_TRUE(queue_->add({&kOne, 1}, i));
        ASSERT_TRUE(ring_.take(chain_));
    }
    for (uint16_t i = 0; i < kSize; ++i)
        queue_->write_descriptor(i, {kData.value, 4, 1, kDescUsed});  // the second round
    EXPECT_EQ(ring_.available(), 0);
    expect_broken(RingError::kIndexJump);
}

TEST_F(PackedRingTest, BrokenChainsBreakTheRing) {
    const PackedDescriptor cases[] = {
        {kRam, 4, 0, kDescAvailable},
        {kData.value, 16, 0, kDescAvailable | kDescIndirect | kDescNext},
        {kData.value, 15, 0, kDescAvailable | kDescIndirect},
        {kData.value, 0, 0, kDescAvailable | kDescIndirect},
        {kRam - 16, 32, 0, kDescAvailable | kDescIndirect}};
    const RingError errors[] = {RingError::kNotMemory, RingError::kBadIndirect,
                                RingError::kBadIndirect, RingError::kBadIndirect,
                                RingError::kNotMemory};
    for (size_t i = 0; i < std::size(cases); ++i) {
        start();
        queue_->write_descriptor(0, cases[i]);
        expect_broken(errors[i]);
    }
    start();
    const std::array<GuestBuffer, 2> order{{{kData, 4, true}, {kData, 4, false}}};
    ASSERT_TRUE(queue_->add(order, 1));
    expect_broken(RingError::kBadOrder);
    start(false, false);
    ASSERT_TRUE(queue_->add({&kOne, 1}, 1, true));
    expect_broken(RingError::kBadIndirect);
    start();
    const std::array<GuestBuffer, 2> huge{{{kData, 0xffffffff, true}, {kData, 4, true}}};
    ASSERT_TRUE(queue_->add(huge, 1));
    expect_broken(RingError::kNotMemory);
}

}  // namespace
}  // namespace mynah
