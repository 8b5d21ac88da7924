#include "paravirt/virtio/virtio_mmio.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "spec/virtio/mmio_registers.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio;
using namespace virtio::mmio;
using testing::GuestBuffer;
using testing::GuestQueue;

constexpr uint64_t kRam = 1 << 20;
constexpr uint64_t kFeatureOwn = bit(3);

// A device that returns every chain with what it wrote: the sum of what it read.
class EchoDevice final : public VirtioDevice {
  public:
    uint32_t device_id() const override { return 42; }
    uint64_t features() const override { return kFeatureOwn | bit(0); }
    uint16_t queue_count() const override { return 3; }
    uint16_t queue_size_max(uint16_t queue) const override { return queue == 2 ? 4 : 16; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override {
        for (size_t i = 0; i < to.size(); ++i) {
            to[i] = offset + i < config_.size() ? config_[offset + i] : std::byte{0};
        }
    }
    void write_config(uint64_t offset, std::span<const std::byte> from) override {
        for (size_t i = 0; i < from.size() && offset + i < config_.size(); ++i) {
            config_[offset + i] = from[i];
        }
    }
    void negotiated(uint64_t features) override { negotiated_ = features; }
    void serve(VirtioQueue& queue) override {
        ++bells_;
        VirtioQueue::Batch batch = queue.open_batch();
        DescriptorChain chain;
        while (queue.take(batch, chain)) {
            if (reject_)
                queue.reject();
            else
                queue.give_back(chain.head, static_cast<uint32_t>(chain.writable.size()));
        }
    }
    void reset() override {
        ++resets_;
        negotiated_ = 0;
    }

    std::array<std::byte, 16> config_{};
    uint64_t negotiated_ = 0;
    std::atomic<int> bells_{0};
    int resets_ = 0;
    bool reject_ = false;
};

class VirtioMmioTest : public ::testing::Test {
  protected:
    bool negotiate(uint64_t extra = 0) { return driver_.negotiate(kFeatureVersion1 | extra); }
    // To DRIVER_OK with queue 0.
    GuestQueue begin(uint64_t extra = 0) {
        EXPECT_TRUE(negotiate(extra));
        GuestQueue queue = driver_.make_queue(0);
        driver_.driver_ok();
        return queue;
    }
    std::array<GuestBuffer, 1> buffer(uint32_t length = 4) {
        return {{{driver_.allocator().take(length), length, true}}};
    }
    bool needs_reset() { return (driver_.status() & kStatusNeedsReset) != 0; }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    EchoDevice device_;
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
};

TEST_F(VirtioMmioTest, IdentificationRegisters) {
    EXPECT_EQ(driver_.read(0x000), 0x74726976u);
    EXPECT_EQ(driver_.read(0x004), 2u);
    EXPECT_EQ(driver_.read(0x008), 42u);
    EXPECT_EQ(driver_.read(0x00c), 0x484e594du);
    EXPECT_EQ(driver_.read(0x070), 0u);
    EXPECT_EQ(driver_.read(0x0fc), 0u);
}

TEST_F(VirtioMmioTest, DeviceFeaturesAreReadInHalves) {
    driver_.write(kDeviceFeaturesSel, 0);
    EXPECT_EQ(driver_.read(kDeviceFeatures), (1u << 0) | (1u << 3) | (1u << 28) | (1u << 29));
    driver_.write(kDeviceFeaturesSel, 1);
    EXPECT_EQ(driver_.read(kDeviceFeatures),
              (1u << 0) | (1u << 6) | (1u << 8));  // VERSION_1, NOTIFICATION_DATA, RING_RESET
    driver_.write(kDeviceFeaturesSel, 2);
    EXPECT_EQ(driver_.read(kDeviceFeatures), 0u);
    driver_.write(kDeviceFeaturesSel, ~0u);
    EXPECT_EQ(driver_.read(kDeviceFeatures), 0u);
}

TEST_F(VirtioMmioTest, SharedMemoryRegionsDoNotExist) {
    driver_.write(kShmSel, 0);
    for (const uint64_t offset : {0xb0, 0xb4, 0xb8, 0xbc}) EXPECT_EQ(driver_.read(offset), ~0u);
}

TEST_F(VirtioMmioTest, WriteOnlyAndReservedRegistersReadZero) {
    ASSERT_TRUE(negotiate());
    driver_.make_queue(0);
    for (const uint64_t offset : {0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64, 0x80, 0x84, 0x90, 0x94,
                                  0xa0, 0xa4, 0xac, 0xc0, 0x18, 0x1c, 0x28, 0x3c, 0x40, 0xf8}) {
        EXPECT_EQ(driver_.read(offset), 0u) << std::hex << offset;
    }
}

TEST_F(VirtioMmioTest, ReadOnlyRegistersIgnoreWrites) {
    for (const uint64_t offset : {0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0x60, 0xfc}) {
        const uint32_t before = driver_.read(offset);
        driver_.write(offset, ~before);
        EXPECT_EQ(driver_.read(offset), before) << std::hex << offset;
    }
}

TEST_F(VirtioMmioTest, RegistersTakeOnlyAligned32BitAccesses) {
    // [virtio-1.2 4.2.2.2]: the driver MUST use 32 bit wide and aligned accesses.
    EXPECT_EQ(mmio_.read(0, 1), 0u);
    EXPECT_EQ(mmio_.read(0, 2), 0u);
    EXPECT_EQ(mmio_.read(0, 8), 0u);
    EXPECT_EQ(mmio_.read(2, 4), 0u);
    mmio_.write(kStatus, 1, kStatusAcknowledge);
    mmio_.write(kStatus, 8, kStatusAcknowledge);
    EXPECT_EQ(driver_.status(), 0u);
}

TEST_F(VirtioMmioTest, ConfigurationTakesAnyWidth) {
    mmio_.write(kConfig + 0, 8, 0x8877665544332211);
    EXPECT_EQ(mmio_.read(kConfig + 0, 1), 0x11u);
    EXPECT_EQ(mmio_.read(kConfig + 1, 2), 0x3322u);
    EXPECT_EQ(mmio_.read(kConfig + 4, 4), 0x88776655u);
    EXPECT_EQ(mmio_.read(kConfig + 0, 8), 0x8877665544332211u);
    mmio_.write(kConfig + 2, 1, 0xffaa);
    EXPECT_EQ(mmio_.read(kConfig + 0, 4), 0x44aa2211u);
    EXPECT_EQ(mmio_.read(kConfig + 0xf8, 8), 0u);  // beyond its end
    mmio_.write(kConfig + 0xf8, 8, ~uint64_t{0});
}

TEST_F(VirtioMmioTest, NegotiationReachesTheDevice) {
    EXPECT_TRUE(negotiate(kFeatureOwn | kFeatureEventIdx));
    EXPECT_EQ(driver_.status(), kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk);
    EXPECT_EQ(device_.negotiated_, kFeatureOwn | virtio::kFeatureVersion1);
}

TEST_F(VirtioMmioTest, FeaturesAreFixedOnceAccepted) {
    ASSERT_TRUE(negotiate());  // [virtio-1.2 3.1.1]
    driver_.write_driver_features(kFeatureVersion1 | kFeatureRingReset);
    driver_.make_queue(0);
    driver_.write(kQueueReset, 1);  // works only if negotiated
    EXPECT_EQ(driver_.read(kQueueReady), 1u);
}

TEST_F(VirtioMmioTest, QueueSizesAndReadiness) {
    ASSERT_TRUE(negotiate());
    for (const auto& [queue, size] : std::initializer_list<std::pair<uint32_t, uint32_t>>{
             {0, 16}, {1, 16}, {2, 4}, {3, 0}, {0xffff, 0}, {0x10000, 0}, {~0u, 0}}) {
        driver_.write(kQueueSel, queue);
        EXPECT_EQ(driver_.read(kQueueNumMax), size) << queue;
        EXPECT_EQ(driver_.read(kQueueReady), 0u);
    }
    driver_.write(kQueueReady, 1);  // of a queue that does not exist
    EXPECT_EQ(driver_.read(kQueueReady), 0u);
    driver_.make_queue(2);
    EXPECT_EQ(driver_.read(kQueueReady), 1u);
    driver_.write(kQueueSel, 1);
    EXPECT_EQ(driver_.read(kQueueReady), 0u);
}

TEST_F(VirtioMmioTest, BuffersAreUsedAndTheLineRises) {
    GuestQueue queue = begin();
    queue.add(buffer());
    EXPECT_FALSE(line_.level());
    driver_.announce(0, queue);
    const auto used = queue.take_used();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->length, 4u);
    EXPECT_TRUE(line_.level());
    EXPECT_EQ(driver_.read(kInterruptStatus), kInterruptUsedBuffer);
    driver_.write(kInterruptAck, kInterruptUsedBuffer);
    EXPECT_FALSE(line_.level());
    EXPECT_EQ(driver_.read(kInterruptStatus), 0u);
}

TEST_F(VirtioMmioTest, AcknowledgingClearsOnlyTheBitsWritten) {
    GuestQueue queue = begin();
    queue.add(buffer());
    driver_.announce(0, queue);
    queue.add_head(999);
    driver_.ring(0);
    EXPECT_EQ(driver_.read(kInterruptStatus), kInterruptUsedBuffer | kInterruptConfigChange);
    driver_.write(kInterruptAck, kInterruptUsedBuffer);
    EXPECT_EQ(driver_.read(kInterruptStatus), kInterruptConfigChange);
    EXPECT_TRUE(line_.level());
    driver_.write(kInterruptAck, kInterruptConfigChange);
    EXPECT_FALSE(line_.level());
}

TEST_F(VirtioMmioTest, QueuesAreIndependent) {
    ASSERT_TRUE(negotiate());
    GuestQueue first = driver_.make_queue(0);
    GuestQueue third = driver_.make_queue(2);
    driver_.driver_ok();
    first.add(buffer());
    third.add(buffer(7));
    driver_.ring(2);
    EXPECT_FALSE(first.take_used());
    EXPECT_EQ(third.take_used()->length, 7u);
    driver_.ring(0);
    EXPECT_TRUE(first.take_used());
}

TEST_F(VirtioMmioTest, NothingIsUsedBeforeDriverOk) {
    ASSERT_TRUE(negotiate());  // [virtio-1.2 3.1.2]
    GuestQueue queue = driver_.make_queue(0);
    queue.add(buffer());
    driver_.ring(0);
    EXPECT_FALSE(queue.take_used());
    driver_.driver_ok();  // buffers that were there are served even without a bell
    EXPECT_TRUE(queue.take_used());
}

TEST_F(VirtioMmioTest, BellsOfQueuesThatAreNotThereDoNothing) {
    begin();
    for (const uint32_t value : {1u, 3u, 0xffffu, 0x10000u, ~0u})
        driver_.write(kQueueNotify, value);
    EXPECT_FALSE(needs_reset());
}

TEST_F(VirtioMmioTest, ResetReturnsEverythingToTheBeginning) {
    GuestQueue queue = begin(kFeatureOwn);
    queue.add(buffer());
    driver_.announce(0, queue);
    EXPECT_TRUE(line_.level());
    const int resets = device_.resets_;
    driver_.write(kStatus, 0);
    EXPECT_EQ(device_.resets_, resets + 1);
    EXPECT_EQ(driver_.status(), 0u);
    EXPECT_FALSE(line_.level());
    EXPECT_EQ(driver_.read(kInterruptStatus), 0u);
    EXPECT_EQ(driver_.read(kQueueReady), 0u);
    EXPECT_EQ(device_.negotiated_, 0u);
    driver_.ring(0);
    queue.add(buffer());
    driver_.ring(0);
    EXPECT_EQ(queue.used_index(), 1);
    // And it can be used again.
    GuestQueue again = begin();
    again.add(buffer());
    driver_.announce(0, again);
    EXPECT_TRUE(again.take_used());
}

TEST_F(VirtioMmioTest, StatusBitsCannotBeTakenBack) {
    ASSERT_TRUE(negotiate());  // [virtio-1.2 2.1.1]
    driver_.write(kStatus, kStatusAcknowledge);
    EXPECT_EQ(driver_.status(), kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk);
    driver_.write(kStatus, kStatusFailed);
    EXPECT_NE(driver_.status() & kStatusFailed, 0u);
}

TEST_F(VirtioMmioTest, ALayoutIsFixedWhileTheQueueIsReady) {
    ASSERT_TRUE(negotiate());  // [virtio-1.2 4.2.2.2]
    GuestQueue queue = driver_.make_queue(0);
    driver_.write(kQueueNum, 3);
    driver_.write(kQueueDescLow, 0xdeadbee0);
    driver_.driver_ok();
    queue.add(buffer());
    driver_.announce(0, queue);
    EXPECT_TRUE(queue.take_used());
}

TEST_F(VirtioMmioTest, AQueueCanBeResetAndUsedAgain) {
    GuestQueue queue = begin(kFeatureRingReset);  // [virtio-1.2 2.6.1]
    queue.add(buffer());
    driver_.announce(0, queue);
    driver_.write(kQueueSel, 0);
    driver_.write(kQueueReset, 1);
    EXPECT_EQ(driver_.read(kQueueReset), 0u);
    EXPECT_EQ(driver_.read(kQueueReady), 0u);
    queue.add(buffer());
    driver_.ring(0);
    EXPECT_EQ(queue.used_index(), 1);
    GuestQueue again = driver_.make_queue(0, 8);
    again.add(buffer());
    driver_.announce(0, again);
    EXPECT_TRUE(again.take_used());
    EXPECT_FALSE(needs_reset());
}

TEST_F(VirtioMmioTest, AQueueThatIsNotReadyAnyMoreStops) {
    GuestQueue queue = begin();
    driver_.write(kQueueSel, 0);
    driver_.write(kQueueReady, 0);
    EXPECT_EQ(driver_.read(kQueueReady), 0u);
    queue.add(buffer());
    driver_.ring(0);
    EXPECT_FALSE(queue.take_used());
}

TEST_F(VirtioMmioTest, EventIndexIsHonouredBothWays) {
    GuestQueue queue = begin(kFeatureEventIdx);
    queue.set_used_event(1);
    queue.add(buffer());
    driver_.announce(0, queue);
    EXPECT_TRUE(queue.take_used());
    EXPECT_FALSE(line_.level());
    queue.add(buffer());
    EXPECT_TRUE(queue.needs_bell());
    driver_.ring(0);
    EXPECT_TRUE(line_.level());
}

// What a driver must not do, and the rule.

TEST_F(VirtioMmioTest, ALegacyDriverIsRefused) {
    EXPECT_FALSE(driver_.negotiate(kFeatureOwn));  // VERSION_1 is missing [virtio-1.2 6.1]
    EXPECT_EQ(driver_.status(), kStatusAcknowledge | kStatusDriver);
}

TEST_F(VirtioMmioTest, FeaturesThatWereNotOfferedAreRefused) {
    EXPECT_FALSE(negotiate(bit(34)));  // packed ring [virtio-1.2 2.2.1]
    EXPECT_FALSE(negotiate(bit(5)));
    EXPECT_TRUE(negotiate());
}

TEST_F(VirtioMmioTest, DriverOkBeforeFeaturesOkIsIgnored) {
    driver_.write(kStatus, kStatusAcknowledge | kStatusDriver | kStatusDriverOk);
    EXPECT_EQ(driver_.status(), kStatusAcknowledge | kStatusDriver);
}

TEST_F(VirtioMmioTest, ABrokenRingNeedsAReset) {
    GuestQueue queue = begin();
    queue.add_head(999);
    driver_.ring(0);
    EXPECT_TRUE(needs_reset());  // [virtio-1.2 2.1.2]
    EXPECT_EQ(driver_.read(kInterruptStatus), kInterruptConfigChange);
    EXPECT_TRUE(line_.level());
    const int bells = device_.bells_;
    driver_.ring(0);
    EXPECT_EQ(device_.bells_, bells);
    GuestQueue again = begin();
    EXPECT_FALSE(needs_reset());
    again.add(buffer());
    driver_.announce(0, again);
    EXPECT_TRUE(again.take_used());
}

TEST_F(VirtioMmioTest, AChainTheDeviceRejectsNeedsAReset) {
    GuestQueue queue = begin();
    device_.reject_ = true;
    queue.add(buffer());
    driver_.announce(0, queue);
    EXPECT_TRUE(needs_reset());
    EXPECT_FALSE(queue.take_used());
    driver_.write(kStatus, 0);  // and does not wait for it for ever
    EXPECT_FALSE(needs_reset());
}

TEST_F(VirtioMmioTest, ABadLayoutNeedsAReset) {
    for (const uint32_t size : {0u, 5u, 32u, 65536u}) {
        ASSERT_TRUE(negotiate());
        GuestQueue queue(driver_.allocator(), 16, false);
        driver_.write_queue(0, queue, size);
        driver_.write(kQueueReady, 1);
        driver_.driver_ok();
        EXPECT_TRUE(needs_reset()) << size;
        EXPECT_EQ(driver_.read(kQueueReady), 0u);
    }
}

TEST_F(VirtioMmioTest, TwoProcessorsMayRingWhileAThirdResets) {
    begin();
    std::atomic<bool> stop{false};
    std::vector<std::thread> processors;
    for (int i = 0; i < 2; ++i) {
        processors.emplace_back([&] {
            while (!stop) mmio_.write(kQueueNotify, 4, 0);
        });
    }
    for (int i = 0; i < 100; ++i) {
        GuestQueue fresh = begin(kFeatureEventIdx);
        for (int k = 0; k < 5; ++k) fresh.add(buffer());
        driver_.ring(0);
        while (fresh.used_index() != 5) std::this_thread::yield();
    }
    stop = true;
    for (std::thread& processor : processors) processor.join();
    EXPECT_FALSE(needs_reset());
}

TEST_F(VirtioMmioTest, WhatTheDriverDoesIsWrittenDown) {
    VirtioHistory history;
    device_.set_history(&history);
    driver_.write(kStatus, kStatusAcknowledge);
    driver_.write(kStatus, kStatusAcknowledge | kStatusDriver);
    EXPECT_EQ(history.values().status, kStatusAcknowledge | kStatusDriver);
    driver_.write_driver_features(bit(1) | kFeatureOwn);  // of which the device knows one
    driver_.write(kStatus, kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk);
    auto seen = history.values();
    EXPECT_EQ(seen.status, kStatusAcknowledge | kStatusDriver);
    EXPECT_EQ(seen.refusals, 1u);
    EXPECT_EQ(seen.chosen, bit(1) | kFeatureOwn);
    EXPECT_EQ(seen.chosen & ~seen.offered, bit(1));
    EXPECT_EQ(seen.needed, kFeatureVersion1);
    driver_.write(kStatus, kStatusFailed);
    EXPECT_NE(history.values().status & kStatusFailed, 0u);
    driver_.write(kStatus, 0);
    seen = history.values();
    EXPECT_EQ(seen.status, 0u);
    EXPECT_EQ(seen.chosen, 0u);
    EXPECT_EQ(seen.before, kStatusAcknowledge | kStatusDriver | kStatusFailed);
    ASSERT_TRUE(negotiate());
    driver_.driver_ok();
    EXPECT_NE(history.values().status & kStatusDriverOk, 0u);
    EXPECT_EQ(history.values().refusals, 1u);
    // A queue beyond memory.
    driver_.make_queue(1);
    EXPECT_EQ(history.values().bad_queue, 0u);
    driver_.write(kQueueSel, 2);
    driver_.write(kQueueNum, 4);
    driver_.write(kQueueDescHigh, 0xff);
    driver_.write(kQueueReady, 1);
    EXPECT_EQ(history.values().bad_queue, 3u);
    EXPECT_NE(history.values().status & kStatusNeedsReset, 0u);
    device_.set_history(nullptr);
}

}  // namespace
}  // namespace mynah
