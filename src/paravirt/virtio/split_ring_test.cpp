#include "paravirt/virtio/split_ring.h"

#include <gtest/gtest.h>

#include <array>

#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using testing::GuestAllocator;
using testing::GuestBuffer;
using testing::GuestQueue;
using RingError = SplitRing::RingError;
using namespace virtio;

constexpr uint64_t kRam = 1 << 20;
constexpr GuestPhys kData{0x80000};

std::unique_ptr<GuestMemory> ram() {
    const GuestMemory::Range range{GuestPhys{0}, kRam};
    return GuestMemory::create({&range, 1}).take_value();
}

class SplitRingTest : public ::testing::Test {
  protected:
    void start(bool event_index = false, bool indirect = true, uint32_t max_chain = 0) {
        queue_.emplace(allocator_, 8, event_index);
        SplitRing::Features features;
        features.indirect = indirect;
        features.event_index = event_index;
        features.max_chain = max_chain;
        ASSERT_TRUE(
            ring_.start({8, queue_->descriptors(), queue_->available(), queue_->used()}, features));
    }
    // The ring refuses what lies available, and for this reason.
    void expect_broken(RingError error) {
        DescriptorChain chain;
        EXPECT_FALSE(ring_.available() > 0 && ring_.take(chain));
        EXPECT_STREQ(ring_error_name(ring_.error()), ring_error_name(error));
        // Broken for good.
        EXPECT_EQ(ring_.available(), 0);
        EXPECT_FALSE(ring_.give_back(0, 0));
        EXPECT_EQ(queue_->used_index(), 0);
    }

    std::unique_ptr<GuestMemory> memory_ = ram();
    DmaView view_{*memory_};
    GuestAllocator allocator_{*memory_, GuestPhys{0x1000}};
    std::optional<GuestQueue> queue_;
    SplitRing ring_{view_};
    DescriptorChain chain_;
};

TEST_F(SplitRingTest, TakesAChainOfReadableAndWritableBuffers) {
    start();
    const std::array<GuestBuffer, 3> buffers{
        {{kData, 16, false}, {kData + 0x100, 512, false}, {kData + 0x1000, 1, true}}};
    EXPECT_EQ(ring_.available(), 0);
    const uint16_t head = queue_->add(buffers);
    EXPECT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_EQ(chain_.head, head);
    EXPECT_EQ(chain_.readable.size(), 528u);
    EXPECT_EQ(chain_.writable.size(), 1u);
    EXPECT_EQ(chain_.readable.slices()[0].data(), memory_->host(kData, 16));
    EXPECT_EQ(ring_.available(), 0);
    EXPECT_EQ(ring_.error(), RingError::kNone);
}

TEST_F(SplitRingTest, IndicesWrapAroundTheRingAndAround65536) {
    start();
    const std::array<GuestBuffer, 1> buffer{{{kData, 4, true}}};
    for (uint32_t i = 0; i < 65536 + 20; ++i) {
        const uint16_t head = queue_->add(buffer);
        ASSERT_EQ(ring_.available(), 1);
        ASSERT_TRUE(ring_.take(chain_));
        EXPECT_TRUE(ring_.give_back(chain_.head, i));
        const auto used = queue_->take_used();
        ASSERT_TRUE(used);
        ASSERT_EQ(used->id, head);
        ASSERT_EQ(used->length, i);
    }
}

TEST_F(SplitRingTest, IndirectTablesMayFollowOrdinaryBuffers) {
    start();  // [virtio-1.2 2.7.5.3.2]
    const GuestPhys table = allocator_.take(32);
    ASSERT_TRUE(memory_->store(table, Descriptor{kData.value, 8, kDescNext, 1}));
    ASSERT_TRUE(memory_->store(table + 16, Descriptor{kData.value + 64, 8, kDescWrite, 0}));
    queue_->write_descriptor(0, {kData.value + 128, 4, kDescNext, 1});
    // The write flag of the descriptor that refers to the table is ignored.
    queue_->write_descriptor(1, {table.value, 32, kDescIndirect | kDescWrite, 0});
    queue_->add_head(0);
    ASSERT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_)) << ring_error_name(ring_.error());
    EXPECT_EQ(chain_.readable.size(), 12u);
    EXPECT_EQ(chain_.writable.size(), 8u);
}

TEST_F(SplitRingTest, IndirectChainsMayBeLongerThanASmallRing) {
    start(false, true, 64);
    std::vector<GuestBuffer> buffers(64, GuestBuffer{kData, 1, true});
    queue_->add(buffers, true);
    ASSERT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_EQ(chain_.writable.size(), 64u);
    buffers.push_back({kData, 1, true});
    queue_->add(buffers, true);
    ASSERT_EQ(ring_.available(), 1);
    EXPECT_FALSE(ring_.take(chain_));
    EXPECT_EQ(ring_.error(), RingError::kLoop);
}

TEST_F(SplitRingTest, BuffersOfNoLengthAreNothing) {
    start();
    const std::array<GuestBuffer, 2> buffers{{{GuestPhys{0}, 0, false}, {kData, 2, true}}};
    queue_->add(buffers);
    ASSERT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_TRUE(chain_.readable.empty());
    EXPECT_EQ(chain_.writable.size(), 2u);
}

TEST_F(SplitRingTest, InterruptsFollowTheFlagWithoutEventIndex) {
    start();
    const std::array<GuestBuffer, 1> buffer{{{kData, 4, true}}};
    queue_->add(buffer);
    queue_->set_no_interrupt(true);
    ASSERT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_FALSE(ring_.give_back(chain_.head, 0));  // [virtio-1.2 2.7.7.2]
    queue_->add(buffer);
    queue_->set_no_interrupt(false);
    ASSERT_EQ(ring_.available(), 1);
    ASSERT_TRUE(ring_.take(chain_));
    EXPECT_TRUE(ring_.give_back(chain_.head, 0));
}

TEST_F(SplitRingTest, InterruptsFollowUsedEventWithEventIndex) {
    start(true);
    const std::array<GuestBuffer, 1> buffer{{{kData, 4, true}}};
    queue_->set_used_event(2);
    queue_->set_no_interrupt(true);  // ignored now [virtio-1.2 2.7.7.2]
    for (uint16_t i = 0; i < 5; ++i) {
        queue_->add(buffer);
        ASSERT_EQ(ring_.available(), 1);
        ASSERT_TRUE(ring_.take(chain_));
        EXPECT_EQ(ring_.give_back(chain_.head, 0), i == 2);
    }
}

TEST_F(SplitRingTest, ArmingAsksForABellBeyondWhatWasSeen) {
    start(true);
    const std::array<GuestBuffer, 1> buffer{{{kData, 4, true}}};
    EXPECT_EQ(ring_.arm_notification(), 0);
    EXPECT_EQ(queue_->avail_event(), 0);
    queue_->add(buffer);
    EXPECT_TRUE(queue_->needs_bell());
    queue_->add(buffer);
    EXPECT_FALSE(queue_->needs_bell());  // the first bell is on its way
    EXPECT_EQ(ring_.arm_notification(), 2);
    EXPECT_EQ(queue_->avail_event(), 2);
    queue_->add(buffer);
    EXPECT_TRUE(queue_->needs_bell());
}

TEST_F(SplitRingTest, WithoutEventIndexTheAvailEventIsNotWritten) {
    start(false);
    ASSERT_TRUE(memory_->store<uint16_t>(queue_->used() + virtio::avail_event(8), 0x5555));
    EXPECT_EQ(ring_.arm_notification(), 0);
    EXPECT_EQ(queue_->avail_event(), 0x5555);
}

// What a driver must not do, and the rule.

TEST_F(SplitRingTest, AnIndexMoreThanTheQueueAheadBreaksIt) {
    start();  // [virtio-1.2 2.7.6]: entries are added one by one into free slots
    queue_->set_available_index(9);
    expect_broken(RingError::kIndexJump);
}

// What is out cannot be offered again: its number, and the memory it takes here, is bounded.
TEST_F(SplitRingTest, MoreOutThanTheQueueHoldsBreaksIt) {
    start();
    for (unsigned i = 0; i < 8; ++i) queue_->add_head(0);
    queue_->write_descriptor(0, {kData.value, 16, 0, 0});
    for (unsigned i = 0; i < 8; ++i) {
        ASSERT_GT(ring_.available(), 0);
        ASSERT_TRUE(ring_.take(chain_));
    }
    EXPECT_TRUE(ring_.give_back(0, 0));
    queue_->add_head(0);
    EXPECT_EQ(ring_.available(), 1);  // in the place of the one that is back
    queue_->add_head(0);
    EXPECT_EQ(ring_.available(), 0);
    EXPECT_STREQ(ring_error_name(ring_.error()), ring_error_name(RingError::kIndexJump));
}

TEST_F(SplitRingTest, AnIndexThatGoesBackBreaksIt) {
    start();  // [virtio-1.2 2.7.6.1]: MUST NOT decrement the available idx
    queue_->set_available_index(0xffff);
    expect_broken(RingError::kIndexJump);
}

TEST_F(SplitRingTest, AHeadBeyondTheTableBreaksIt) {
    start();
    queue_->add_head(8);
    expect_broken(RingError::kBadHead);
}

TEST_F(SplitRingTest, ANextBeyondTheTableBreaksIt) {
    start();
    queue_->write_descriptor(0, {kData.value, 4, kDescNext, 8});
    queue_->add_head(0);
    expect_broken(RingError::kBadNext);
}

TEST_F(SplitRingTest, ALoopBreaksIt) {
    start();  // [virtio-1.2 2.7.5.2]: loops in the descriptor chain are forbidden
    queue_->write_descriptor(0, {kData.value, 4, kDescNext, 1});
    queue_->write_descriptor(1, {kData.value, 4, kDescNext, 0});
    queue_->add_head(0);
    expect_broken(RingError::kLoop);
}

TEST_F(SplitRingTest, ALoopInAnIndirectTableBreaksIt) {
    start();
    const GuestPhys table = allocator_.take(16);
    ASSERT_TRUE(memory_->store(table, Descriptor{kData.value, 0, kDescNext, 0}));
    queue_->write_descriptor(0, {table.value, 16, kDescIndirect, 0});
    queue_->add_head(0);
    expect_broken(RingError::kLoop);
}

TEST_F(SplitRingTest, AReadableBufferAfterAWritableOneBreaksIt) {
    start();  // [virtio-1.2 2.7.4.2]
    const std::array<GuestBuffer, 2> buffers{{{kData, 4, true}, {kData, 4, false}}};
    queue_->add(buffers);
    expect_broken(RingError::kBadOrder);
}

TEST_F(SplitRingTest, IndirectWithoutNegotiationBreaksIt) {
    start(false, false);  // [virtio-1.2 2.7.5.3.1]
    const std::array<GuestBuffer, 1> buffer{{{kData, 4, true}}};
    queue_->add(buffer, true);
    expect_broken(RingError::kBadIndirect);
}

TEST_F(SplitRingTest, IndirectWithNextBreaksIt) {
    start();  // [virtio-1.2 2.7.5.3.1]
    queue_->write_descriptor(0, {kData.value, 16, kDescIndirect | kDescNext, 1});
    queue_->add_head(0);
    expect_broken(RingError::kBadIndirect);
}

TEST_F(SplitRingTest, NestedIndirectBreaksIt) {
    start();  // [virtio-1.2 2.7.5.3.1]
    const GuestPhys table = allocator_.take(16);
    ASSERT_TRUE(memory_->store(table, Descriptor{table.value, 16, kDescIndirect, 0}));
    queue_->write_descriptor(0, {table.value, 16, kDescIndirect, 0});
    queue_->add_head(0);
    expect_broken(RingError::kBadIndirect);
}

TEST_F(SplitRingTest, IndirectTablesOfOddLengthBreakIt) {
    for (const uint32_t length : {0u, 8u, 17u}) {
        start();
        queue_->write_descriptor(0, {kData.value, length, kDescIndirect, 0});
        queue_->add_head(0);
        expect_broken(RingError::kBadIndirect);
    }
}

TEST_F(SplitRingTest, AnIndirectTableOutsideRamBreaksIt) {
    start();
    queue_->write_descriptor(0, {kRam - 16, 32, kDescIndirect, 0});
    queue_->add_head(0);
    expect_broken(RingError::kNotMemory);
}

TEST_F(SplitRingTest, BuffersOutsideRamBreakIt) {
    for (const auto& [address, length] : std::initializer_list<std::pair<uint64_t, uint32_t>>{
             {kRam, 1}, {kRam - 1, 2}, {~uint64_t{0}, 2}, {0, 0xffffffff}}) {
        start();
        queue_->write_descriptor(0, {address, length, kDescWrite, 0});
        queue_->add_head(0);
        expect_broken(RingError::kNotMemory);
    }
}

TEST_F(SplitRingTest, AChainOfMoreThan4GiBBreaksIt) {
    const GuestMemory::Range range{GuestPhys{0}, uint64_t{2} << 30};
    const auto memory = GuestMemory::create({&range, 1}).take_value();
    const DmaView view(*memory);
    SplitRing ring(view);
    GuestAllocator allocator(*memory, GuestPhys{0x1000});
    GuestQueue queue(allocator, 8, false);
    ASSERT_TRUE(ring.start({8, queue.descriptors(), queue.available(), queue.used()}, {}));
    const std::vector<GuestBuffer> buffers(3, GuestBuffer{GuestPhys{0}, 0x7fffffff, true});
    queue.add(buffers);
    ASSERT_EQ(ring.available(), 1);
    EXPECT_FALSE(ring.take(chain_));  // [virtio-1.2 2.7.5.2]
    EXPECT_EQ(ring.error(), RingError::kTooLong);
}

TEST_F(SplitRingTest, LayoutsThatBreakARuleDoNotStart) {
    const GuestPhys good{0x2000};
    const auto refused = [&](RingLayout layout) {
        SplitRing ring(view_);
        return !ring.start(layout, {}) && ring.available() == 0;
    };
    EXPECT_FALSE(refused({8, good, good + 0x1000, good + 0x2000}));
    for (const uint32_t size : {0u, 3u, 65536u, ~0u}) {
        EXPECT_TRUE(refused({size, good, good + 0x1000, good + 0x2000})) << size;
    }
    // Alignment 16, 2, 4 [virtio-1.2 2.7].
    EXPECT_TRUE(refused({8, good + 8, good + 0x1000, good + 0x2000}));
    EXPECT_TRUE(refused({8, good, good + 0x1001, good + 0x2000}));
    EXPECT_TRUE(refused({8, good, good + 0x1000, good + 0x2002}));
    EXPECT_TRUE(refused({8, GuestPhys{kRam - 112}, good, good + 0x2000}));
    EXPECT_TRUE(refused({8, good, GuestPhys{kRam - 20}, good + 0x2000}));
    EXPECT_TRUE(refused({8, good, good + 0x1000, GuestPhys{kRam - 68}}));
    EXPECT_TRUE(refused({8, GuestPhys{~uint64_t{15}}, good, good}));
}

}  // namespace
}  // namespace mynah
