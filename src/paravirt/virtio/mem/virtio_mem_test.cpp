#include "paravirt/virtio/mem/virtio_mem.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::mem;
using testing::GuestBuffer;

constexpr uint64_t kMib = 1 << 20, kRam = 4 * kMib, kBlock = 2 * kMib, kSize = 512 * kMib;
constexpr GuestPhys kStart{uint64_t{1} << 32};

class VirtioMemTest : public ::testing::Test {
  protected:
    VirtioMemTest() {
        EXPECT_TRUE(driver_.negotiate(virtio::kFeatureVersion1));
        queue_.emplace(driver_.make_queue(0, 16));
        driver_.driver_ok();
    }
    ResponseType ask(RequestType type, uint64_t offset = 0, uint16_t blocks = 0) {
        Request request{};
        request.type = static_cast<uint16_t>(type);
        request.address = kStart.value + offset;
        request.blocks = blocks;
        const GuestPhys place = driver_.allocator().take(64);
        EXPECT_TRUE(memory_->store(place, request));
        const GuestBuffer buffers[] = {{place, sizeof request, false},
                                       {place + 32, sizeof(Response), true}};
        queue_->add(buffers);
        driver_.announce(0, *queue_);
        const auto used = queue_->take_used();
        EXPECT_TRUE(used && used->length == sizeof(Response));
        const auto response = memory_->load<Response>(place + 32).value();
        state_ = static_cast<State>(response.state);
        return static_cast<ResponseType>(response.type);
    }
    uint64_t host_bytes() {
        struct stat status {};
        EXPECT_EQ(fstat(memory_->fd(), &status), 0);
        return static_cast<uint64_t>(status.st_blocks) * 512;
    }

    const GuestMemory::Range region_{kStart, kSize};
    std::unique_ptr<GuestMemory> memory_ = [this] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}, 4 * kMib, {.pluggable = region_}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    VirtioMem device_{*memory_, region_, kBlock, 8 * kMib};
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<testing::GuestQueue> queue_;
    State state_{};
};

TEST_F(VirtioMemTest, SaysWhatThereIs) {
    EXPECT_EQ(memory_->size(), kRam);
    EXPECT_EQ(memory_->end(), kStart + kSize);
    EXPECT_EQ(driver_.config<uint32_t>(0), kBlock);
    EXPECT_EQ(driver_.config<uint32_t>(20), 1u);  // address, upper half
    EXPECT_EQ(driver_.config<uint32_t>(24), kSize);
    EXPECT_EQ(driver_.config<uint32_t>(32), 264 * kMib);  // usable
    EXPECT_EQ(driver_.config<uint32_t>(40), 0u);
    EXPECT_EQ(driver_.config<uint32_t>(48), 8 * kMib);
}

TEST_F(VirtioMemTest, BlocksArePluggedUpToWhatIsRequested) {
    EXPECT_EQ(ask(RequestType::kPlug, 4 * kMib, 2), ResponseType::kAck);
    EXPECT_EQ(driver_.config<uint32_t>(40), 4 * kMib);
    EXPECT_EQ(ask(RequestType::kPlug, 6 * kMib, 2), ResponseType::kError);  // one of them twice
    EXPECT_EQ(ask(RequestType::kPlug, 8 * kMib, 3), ResponseType::kNack);
    EXPECT_EQ(ask(RequestType::kPlug, 8 * kMib, 2), ResponseType::kAck);
    EXPECT_EQ(ask(RequestType::kPlug, 12 * kMib, 1), ResponseType::kNack);
    EXPECT_EQ(ask(RequestType::kState, 4 * kMib, 4), ResponseType::kAck);
    EXPECT_EQ(state_, State::kPlugged);
    EXPECT_EQ(ask(RequestType::kState, 0, 2), ResponseType::kAck);
    EXPECT_EQ(state_, State::kUnplugged);
    EXPECT_EQ(ask(RequestType::kState, 0, 4), ResponseType::kAck);
    EXPECT_EQ(state_, State::kMixed);
}

TEST_F(VirtioMemTest, WhatIsUnpluggedGoesBackToTheHost) {
    EXPECT_EQ(ask(RequestType::kPlug, 0, 4), ResponseType::kAck);
    ASSERT_TRUE(memory_->fill(kStart, std::byte{0x55}, 8 * kMib));
    const uint64_t before = host_bytes();
    EXPECT_EQ(ask(RequestType::kUnplug, 2 * kMib, 2), ResponseType::kAck);
    EXPECT_EQ(before - host_bytes(), 4 * kMib);
    EXPECT_EQ(memory_->load<uint8_t>(kStart + 2 * kMib), 0);
    EXPECT_EQ(memory_->load<uint8_t>(kStart + 6 * kMib), 0x55);
    EXPECT_EQ(ask(RequestType::kUnplug, 0, 2), ResponseType::kError);  // one of them is not
    EXPECT_EQ(ask(RequestType::kUnplugAll), ResponseType::kAck);
    EXPECT_EQ(before - host_bytes(), 8 * kMib);
    EXPECT_EQ(driver_.config<uint32_t>(40), 0u);
}

TEST_F(VirtioMemTest, BlocksOutsideAreNone) {
    EXPECT_EQ(ask(RequestType::kPlug, 0, 0), ResponseType::kError);
    EXPECT_EQ(ask(RequestType::kPlug, kMib, 1), ResponseType::kError);
    EXPECT_EQ(ask(RequestType::kPlug, 264 * kMib, 1), ResponseType::kError);  // not usable yet
    EXPECT_EQ(ask(RequestType::kState, 262 * kMib, 2), ResponseType::kError);
    EXPECT_EQ(ask(RequestType::kState, ~uint64_t{0} - kStart.value - kBlock + 1, 65535),
              ResponseType::kError);
    EXPECT_EQ(ask(RequestType::kPlug, ~uint64_t{0}, 1), ResponseType::kError);
    EXPECT_EQ(ask(static_cast<RequestType>(4), 0, 1), ResponseType::kError);
}

TEST_F(VirtioMemTest, TheOperatorChangesItsMind) {
    EXPECT_FALSE(device_.request(kSize + kBlock));
    EXPECT_FALSE(device_.request(kMib));
    EXPECT_TRUE(device_.request(kSize));
    EXPECT_NE(driver_.read(0x60) & 2, 0u);  // configuration changed
    EXPECT_EQ(driver_.config<uint32_t>(32), kSize);
    EXPECT_EQ(ask(RequestType::kPlug, kSize - kBlock, 1), ResponseType::kAck);
    EXPECT_TRUE(device_.request(0));
    EXPECT_EQ(driver_.config<uint32_t>(32), kSize);  // what is plugged stays usable
    EXPECT_EQ(ask(RequestType::kPlug, 0, 1), ResponseType::kNack);
    EXPECT_EQ(device_.sizes().plugged, kBlock);
    // A driver's reset leaves it, a machine's does not.
    driver_.write(0x70, 0);
    EXPECT_EQ(device_.sizes().plugged, kBlock);
    device_.machine_reset();
    EXPECT_EQ(device_.sizes().plugged, 0u);
    EXPECT_EQ(driver_.config<uint32_t>(32), 256 * kMib);
}

TEST_F(VirtioMemTest, DevicesReachIt) {
    EXPECT_TRUE(view_.contains(kStart, kSize));
    EXPECT_FALSE(view_.contains(kStart + kSize, 1));
}

}  // namespace
}  // namespace mynah
