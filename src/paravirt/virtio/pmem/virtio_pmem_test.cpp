#include "paravirt/virtio/pmem/virtio_pmem.h"

#include <gtest/gtest.h>

#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "spec/virtio/pmem.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::pmem;
using testing::GuestBuffer;

constexpr GuestPhys kStart{uint64_t{1} << 32};

class VirtioPmemTest : public ::testing::Test {
  protected:
    VirtioPmemTest() {
        EXPECT_TRUE(driver_.negotiate(virtio::kFeatureVersion1));
        queue_.emplace(driver_.make_queue(0, 16));
        driver_.driver_ok();
    }
    GuestPhys send(uint32_t type, uint32_t readable = 4, uint32_t writable = 4) {
        const GuestPhys place = driver_.allocator().take(16);
        EXPECT_TRUE(memory_->store(place, type));
        EXPECT_TRUE(memory_->store(place + 8, uint32_t{0xeeee}));
        const GuestBuffer buffers[] = {{place, readable, false}, {place + 8, writable, true}};
        queue_->add(buffers);
        driver_.announce(0, *queue_);
        return place + 8;
    }
    uint32_t result(GuestPhys at) { return memory_->load<uint32_t>(at).value(); }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 1 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::MemoryDisk file_{1 << 21};
    VirtioPmem device_{kStart, 1 << 21, file_};
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<testing::GuestQueue> queue_;
};

TEST_F(VirtioPmemTest, SaysWhereItIs) {
    EXPECT_EQ(driver_.read(0x008), virtio::kDevicePmem);
    EXPECT_EQ(driver_.config<uint32_t>(4), 1u);
    EXPECT_EQ(driver_.config<uint32_t>(8), 1u << 21);
}

TEST_F(VirtioPmemTest, FlushesEndWhenTheFileIsSafe) {
    file_.hold(true);
    const GuestPhys first = send(kFlush), second = send(kFlush);
    EXPECT_EQ(result(first), 0xeeeeu);
    EXPECT_EQ(file_.records().at(0).operation, BlockOperation::kFlush);
    ASSERT_TRUE(file_.release_one());
    EXPECT_EQ(result(first), kDone);
    EXPECT_EQ(result(second), 0xeeeeu);
    file_.fail_with(BlockStatus::kIoError);
    file_.release_all();
    EXPECT_EQ(queue_->take_used()->length, 4u);
    EXPECT_TRUE(queue_->take_used());
    file_.hold(false);
    EXPECT_EQ(result(send(kFlush)), kFailed);
    EXPECT_EQ(result(send(7)), kFailed);
}

TEST_F(VirtioPmemTest, ShortRequestsNeedAReset) {
    send(kFlush, 4, 3);
    EXPECT_NE(driver_.status() & virtio::kStatusNeedsReset, 0u);
}

}  // namespace
}  // namespace mynah
