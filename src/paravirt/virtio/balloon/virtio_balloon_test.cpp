#include "paravirt/virtio/balloon/virtio_balloon.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::balloon;
using testing::GuestBuffer;
using testing::GuestQueue;

constexpr uint64_t kRam = 0x400000, kPool = 0x200000;

class VirtioBalloonTest : public ::testing::Test {
  protected:
    void start(uint64_t features) {
        ASSERT_TRUE(memory_->fill(GuestPhys{kPool}, std::byte{0x55}, kRam - kPool));
        ASSERT_TRUE(driver_.negotiate(virtio::kFeatureVersion1 | features));
        for (uint16_t i = 0; i < device_.queue_count(); ++i)
            queues_.push_back(driver_.make_queue(i, 16));
        driver_.driver_ok();
    }
    void send(uint16_t queue, GuestPhys place, uint32_t size, bool writable = false) {
        const GuestBuffer buffer{place, size, writable};
        queues_[queue].add({&buffer, 1});
        driver_.announce(queue, queues_[queue]);
    }
    void send_pages(uint16_t queue, std::vector<uint32_t> pages) {
        const GuestPhys place = driver_.allocator().take(4 * pages.size());
        ASSERT_TRUE(memory_->write(place, std::as_bytes(std::span(pages))));
        send(queue, place, static_cast<uint32_t>(4 * pages.size()));
        ASSERT_TRUE(queues_[queue].take_used());
    }
    bool zero(uint64_t page) { return memory_->load<uint8_t>(GuestPhys{page << 12}) == 0; }
    uint64_t host_bytes() {
        struct stat status {};
        EXPECT_EQ(fstat(memory_->fd(), &status), 0);
        return static_cast<uint64_t>(status.st_blocks) * 512;
    }
    void hint_command(uint32_t command) {
        const GuestPhys place = driver_.allocator().take(4);
        ASSERT_TRUE(memory_->store(place, command));
        send(3, place, 4);
        ASSERT_TRUE(queues_[3].take_used());
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    VirtioBalloon device_{*memory_, kRam, {.deflate_on_oom = true, .free_page_reporting = true}};
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::vector<GuestQueue> queues_;
};

TEST_F(VirtioBalloonTest, PagesHandedInGoBackToTheHost) {
    start(kFeatureStatistics | kFeatureFreePageHint | kFeaturePageReporting);
    const uint64_t before = host_bytes();
    send_pages(0, {0x301, 0x300, 0x302, 0x302, 0x310});
    EXPECT_EQ(before - host_bytes(), 4 * kPageSize);
    EXPECT_TRUE(zero(0x300) && zero(0x301) && zero(0x302) && zero(0x310));
    EXPECT_FALSE(zero(0x2ff) || zero(0x303) || zero(0x30f) || zero(0x311));
    EXPECT_EQ(device_.discarded(), 4 * kPageSize);
    // Deflating gives nothing away.
    send_pages(1, {0x320});
    EXPECT_FALSE(zero(0x320));
}

TEST_F(VirtioBalloonTest, PagesThatAreNotMemoryAreLeftAlone) {
    start(0);
    send_pages(0, {0xffffffff, 0x400, 0x3ff, 0xfffffffe});
    EXPECT_EQ(driver_.status() & virtio::kStatusNeedsReset, 0u);
    EXPECT_FALSE(zero(0x3fe));
    send(0, GuestPhys{0x1000}, 3);  // less than a number
    EXPECT_TRUE(queues_[0].take_used());
}

TEST_F(VirtioBalloonTest, TheOperatorsWishIsInTheConfiguration) {
    start(0);
    device_.set_target(kRam - 0x10000);
    EXPECT_EQ(driver_.config<uint32_t>(0), 16u);
    EXPECT_TRUE(line_.level());
    EXPECT_EQ(device_.actual(), kRam);
    driver_.write(0x104, 16);
    EXPECT_EQ(device_.actual(), kRam - 0x10000);
    driver_.write(0x104, 0xffffffff);
    EXPECT_EQ(device_.actual(), 0u);
    device_.set_target(2 * kRam);
    EXPECT_EQ(driver_.config<uint32_t>(0), 0u);
}

TEST_F(VirtioBalloonTest, StatisticsAreAskedForByGivingTheBufferBack) {
    start(kFeatureStatistics);
    const GuestPhys place = driver_.allocator().take(64);
    const auto put = [&](unsigned at, uint16_t tag, uint64_t value) {
        ASSERT_TRUE(memory_->store(place + 10 * at, tag));
        ASSERT_TRUE(memory_->store(place + 10 * at + 2, value));
    };
    put(0, kMemoryFree, 1000);
    put(1, 99, 5);  // unknown: ignored
    send(2, place, 25);
    EXPECT_FALSE(queues_[2].take_used());
    EXPECT_EQ(device_.statistics()[kMemoryFree], 1000u);
    EXPECT_TRUE(queues_[2].take_used());
    put(0, kMemoryFree, 900);
    send(2, place, 25);
    EXPECT_EQ(device_.statistics()[kMemoryFree], 900u);
    EXPECT_EQ(device_.statistics()[kSwapIn], std::nullopt);
}

TEST_F(VirtioBalloonTest, ReportedPagesGoBackUnlessTheyArePoisoned) {
    start(kFeatureStatistics | kFeatureFreePageHint | kFeaturePageReporting | kFeaturePagePoison);
    send(4, GuestPhys{0x300000}, 0x4000, true);
    EXPECT_TRUE(queues_[4].take_used());
    EXPECT_TRUE(zero(0x300) && zero(0x303));
    EXPECT_FALSE(zero(0x304));
    driver_.write(0x10c, 0xaaaaaaaa);
    send(4, GuestPhys{0x310000}, 0x4000, true);
    EXPECT_FALSE(zero(0x310));
    send(4, GuestPhys{0x320010}, 0x4000, true);  // not whole pages
    EXPECT_EQ(driver_.status() & virtio::kStatusNeedsReset, 0u);
}

TEST_F(VirtioBalloonTest, HintsCountForTheCommandTheyAnswer) {
    start(kFeatureStatistics | kFeatureFreePageHint);
    send(3, GuestPhys{0x300000}, 0x1000, true);  // nobody asked
    EXPECT_FALSE(zero(0x300));
    device_.ask_for_free_pages();
    const uint32_t command = driver_.config<uint32_t>(8);
    EXPECT_GE(command, kFirstHintCommand);
    hint_command(command - 1);
    send(3, GuestPhys{0x300000}, 0x1000, true);
    EXPECT_FALSE(zero(0x300));
    hint_command(command);
    send(3, GuestPhys{0x300000}, 0x1000, true);
    EXPECT_TRUE(zero(0x300));
    hint_command(kHintStop);
    EXPECT_EQ(driver_.config<uint32_t>(8), kHintDone);
}

TEST_F(VirtioBalloonTest, QueuesAreNumberedByWhatWasNegotiated) {
    start(kFeaturePageReporting);
    send(2, GuestPhys{0x300000}, 0x1000, true);
    EXPECT_TRUE(zero(0x300));
}

}  // namespace
}  // namespace mynah
