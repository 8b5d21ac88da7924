#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "backend/block/raw_file.h"
#include "base/worker_executor.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

// The block device over a real file, with slow work on a thread of its own as a board has it.
namespace mynah {
namespace {

using namespace virtio::block;
using testing::GuestBuffer;
using testing::GuestQueue;

class VirtioBlockFileTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mynah-virtio-block-XXXXXX";
        const int fd = mkstemp(name);
        ASSERT_GE(fd, 0);
        path_ = name;
        ASSERT_EQ(ftruncate(fd, 1 << 20), 0);
        close(fd);
        RawFileOptions options;
        options.path = path_;
        auto disk = RawFile::open(options, worker_);
        ASSERT_TRUE(disk.ok()) << disk.error().message();
        disk_ = disk.take_value();
        device_ = std::make_unique<VirtioBlock>(*disk_, VirtioBlockOptions{});
        mmio_ = std::make_unique<VirtioMmio>(*device_, view_, line_);
        driver_ = std::make_unique<testing::VirtioDriver>(*mmio_, *memory_, GuestPhys{0x1000});
    }
    void TearDown() override { unlink(path_.c_str()); }

    GuestQueue begin() {
        EXPECT_TRUE(driver_->negotiate(virtio::kFeatureVersion1 | virtio::kFeatureEventIdx |
                                       kFeatureFlush | kFeatureDiscard | kFeatureWriteZeroes));
        GuestQueue queue = driver_->make_queue(0);
        driver_->driver_ok();
        return queue;
    }
    // Header at `place`, data behind it, status at place + 0x800.
    void submit(GuestQueue& queue, GuestPhys place, uint32_t type, uint64_t sector, uint32_t size) {
        ASSERT_TRUE(memory_->store(place, RequestHeader{type, 0, sector}));
        ASSERT_TRUE(memory_->store<uint8_t>(place + 0x800, 0xee));
        const std::array<GuestBuffer, 3> buffers{
            {{place, 16, false}, {place + 16, size, type == kIn}, {place + 0x800, 1, true}}};
        queue.add(buffers);
        driver_->announce(0, queue);
    }
    void wait(GuestQueue& queue) {
        while (!queue.take_used()) std::this_thread::yield();
    }

    std::string path_;
    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 8 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    WorkerExecutor worker_;
    std::unique_ptr<RawFile> disk_;
    std::unique_ptr<VirtioBlock> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::unique_ptr<testing::VirtioDriver> driver_;
};

TEST_F(VirtioBlockFileTest, WritesFlushesAndZeroesReachTheFile) {
    GuestQueue queue = begin();
    const GuestPhys place = driver_->allocator().take(0x1000);
    ASSERT_TRUE(memory_->fill(place + 16, std::byte{'m'}, 1024));
    submit(queue, place, kOut, 2, 1024);
    wait(queue);
    submit(queue, place, virtio::block::kFlush, 0, 0);
    wait(queue);
    EXPECT_EQ(memory_->load<uint8_t>(place + 0x800), kStatusOk);
    ASSERT_TRUE(memory_->store(place + 16, RangeSegment{3, 1, 0}));
    submit(queue, place, kWriteZeroes, 0, 16);
    wait(queue);
    EXPECT_EQ(memory_->load<uint8_t>(place + 0x800), kStatusOk);
    submit(queue, place, kIn, 1, 1536);
    wait(queue);
    EXPECT_EQ(memory_->load<uint8_t>(place + 16 + 511), 0);
    EXPECT_EQ(memory_->load<uint8_t>(place + 16 + 512), 'm');
    EXPECT_EQ(memory_->load<uint8_t>(place + 16 + 1023), 'm');
    EXPECT_EQ(memory_->load<uint8_t>(place + 16 + 1024), 0);
    EXPECT_TRUE(line_.level());
}

TEST_F(VirtioBlockFileTest, AResetRacesWithFlushesOnTheirThread) {
    for (int round = 0; round < 100; ++round) {
        GuestQueue queue = begin();
        const GuestPhys place = driver_->allocator().take(0x4000);
        for (uint64_t i = 0; i < 4; ++i) {
            submit(queue, place + 0x1000 * i, virtio::block::kFlush, 0, 0);
        }
        driver_->write(0x70, 0);
        // Nothing is written to the guest's memory any more.
        const uint16_t used = queue.used_index();
        EXPECT_EQ(used, 4);
        EXPECT_FALSE(line_.level());
        EXPECT_EQ(driver_->status(), 0u);
    }
}

TEST_F(VirtioBlockFileTest, TheMachineMayGoWhileFlushesAreOnTheWay) {
    GuestQueue queue = begin();
    const GuestPhys place = driver_->allocator().take(0x10000);
    for (uint64_t i = 0; i < 16; ++i) {
        submit(queue, place + 0x1000 * i, virtio::block::kFlush, 0, 0);
    }
    mmio_.reset();
    device_.reset();
    disk_.reset();
    EXPECT_EQ(queue.used_index(), 16);
}

}  // namespace
}  // namespace mynah
