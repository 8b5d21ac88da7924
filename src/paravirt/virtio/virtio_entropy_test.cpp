#include "paravirt/virtio/virtio_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "paravirt/virtio/virtio_mmio.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using testing::GuestBuffer;
using testing::GuestQueue;

// Bytes 1, 2, 3, … in portions, until it is told to fail.
class CountingSource final : public EntropySource {
  public:
    size_t fill(std::span<std::byte> to) override {
        if (left_ == 0) return 0;
        const size_t part = std::min<size_t>({to.size(), 100, left_});
        for (std::byte& byte : to.first(part)) byte = static_cast<std::byte>(++last_);
        left_ -= part;
        return part;
    }
    uint8_t last_ = 0;
    size_t left_ = ~size_t{0};
};

class VirtioEntropyTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(driver_.negotiate(virtio::kFeatureVersion1));
        queue_.emplace(driver_.make_queue(0));
        driver_.driver_ok();
    }
    uint32_t run(std::span<const GuestBuffer> buffers) {
        queue_->add(buffers);
        driver_.announce(0, *queue_);
        const auto used = queue_->take_used();
        EXPECT_TRUE(used.has_value());
        return used ? used->length : ~0u;
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 1 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    CountingSource source_;
    VirtioEntropy device_{source_};
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<GuestQueue> queue_;
};

TEST_F(VirtioEntropyTest, IsDevice4WithOneQueueAndNoConfiguration) {
    EXPECT_EQ(driver_.read(8), 4u);
    EXPECT_EQ(device_.features(), 0u);
    EXPECT_EQ(device_.queue_count(), 1);
    EXPECT_EQ(driver_.config<uint64_t>(0), 0u);
}

TEST_F(VirtioEntropyTest, FillsScatteredBuffersInOrder) {
    const GuestBuffer buffers[] = {{GuestPhys{0x40000}, 150, true}, {GuestPhys{0x50000}, 3, true}};
    EXPECT_EQ(run(buffers), 153u);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{0x40000}), 1);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{0x40000 + 149}), 150);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{0x40000 + 150}), 0);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{0x50002}), 153);
}

TEST_F(VirtioEntropyTest, SaysHowMuchAFailingSourceGave) {
    source_.left_ = 120;
    const GuestBuffer buffers[] = {{GuestPhys{0x40000}, 1000, true}};
    EXPECT_EQ(run(buffers), 120u);
    EXPECT_EQ(run(buffers), 0u);
}

TEST_F(VirtioEntropyTest, HugeRequestsAreCut) {
    const GuestBuffer buffers[] = {{GuestPhys{0x40000}, 0x40000, true},
                                   {GuestPhys{0x40000}, 0x40000, true}};
    EXPECT_EQ(run(buffers), VirtioEntropy::kMaxFill);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys{0x40000 + VirtioEntropy::kMaxFill}), 0);
}

TEST_F(VirtioEntropyTest, ReadableBuffersAreLeftAlone) {
    const GuestBuffer buffers[] = {{GuestPhys{0x40000}, 16, false}};  // [virtio-1.2 5.4.6.1]
    EXPECT_EQ(run(buffers), 0u);
    EXPECT_EQ(memory_->load<uint64_t>(GuestPhys{0x40000}), 0u);
}

}  // namespace
}  // namespace mynah
