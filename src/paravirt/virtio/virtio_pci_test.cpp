#include "paravirt/virtio/virtio_pci.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "backend/entropy/entropy_source.h"
#include "paravirt/virtio/virtio_entropy.h"
#include "spec/pci/config_registers.h"
#include "spec/virtio/pci_registers.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::pci;

constexpr uint64_t kBarAt = 0xe0000000, kMsixAt = 0xe0010000;
constexpr uint32_t kClass = 0x00ff00;

class Sevens final : public EntropySource {
  public:
    size_t fill(std::span<std::byte> to) override {
        std::ranges::fill(to, std::byte{7});
        return to.size();
    }
};

// What a driver does with a function, through the spaces of a machine.
class VirtioPciTest : public ::testing::Test {
  protected:
    VirtioPciTest() {
        PciFunction& function = device_.function();
        function.config_write(0x14, 4, kMsixAt);
        function.config_write(0x20, 4, static_cast<uint32_t>(kBarAt));
        function.config_write(0x24, 4, 0);
        function.config_write(4, 2, 6);  // memory space, bus mastering
        for (uint32_t at = function.config_read(0x34, 1); at != 0;
             at = function.config_read(at + 1, 1)) {
            if (function.config_read(at, 1) == 0x11) msix_ = at;
            if (function.config_read(at, 1) != 9) continue;
            const auto type = static_cast<uint8_t>(function.config_read(at + 3, 1));
            structures_[type] = at;
        }
    }
    uint64_t place(CapabilityType type) {
        const uint32_t at = structures_.at(static_cast<uint8_t>(type));
        EXPECT_EQ(device_.function().config_read(at + 4, 1), 4u);
        return kBarAt + device_.function().config_read(at + 8, 4);
    }
    uint64_t get(uint64_t field, unsigned size) {
        return space_.read(place(CapabilityType::kCommon) + field, size);
    }
    void put(uint64_t field, unsigned size, uint64_t value) {
        space_.write(place(CapabilityType::kCommon) + field, size, value);
    }
    void negotiate() {
        put(kDeviceStatus, 1, 0);
        put(kDeviceStatus, 1, 3);
        for (uint32_t half = 0; half < 2; ++half) {
            put(kDeviceFeatureSelect, 4, half);
            put(kDriverFeatureSelect, 4, half);
            put(kDriverFeature, 4, get(kDeviceFeature, 4));
        }
        put(kDeviceStatus, 1, 11);
        EXPECT_EQ(get(kDeviceStatus, 1), 11u);
    }
    testing::GuestQueue start_queue() {
        testing::GuestQueue queue(allocator_, 8, true);
        put(kQueueSelect, 2, 0);
        put(kQueueSize, 2, 8);
        put(kQueueDescLow, 8, queue.descriptors().value);  // 64 bits at once
        put(kQueueDriverLow, 4, queue.available().value);
        put(kQueueDeviceLow, 4, queue.used().value);
        put(kQueueEnable, 2, 1);
        put(kDeviceStatus, 1, 15);
        return queue;
    }
    void ring() {
        const uint32_t at = structures_.at(static_cast<uint8_t>(CapabilityType::kNotify));
        const uint32_t stride = device_.function().config_read(at + 16, 4);
        space_.write(place(CapabilityType::kNotify) + get(kQueueNotifyOff, 2) * stride, 2, 0);
    }
    // Asks the device for eight bytes.
    void ask(testing::GuestQueue& queue) {
        const testing::GuestBuffer buffer{buffer_, 8, true};
        queue.add({&buffer, 1});
        ring();
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys(0), 0x20000};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    IoSpace ports_, space_;
    testing::RecordingLine intx_;
    testing::RecordingMsiSink msi_;
    Sevens source_;
    VirtioEntropy entropy_{source_};
    VirtioPci device_{entropy_, {ports_, space_, *memory_, intx_, msi_}, kClass};
    testing::GuestAllocator allocator_{*memory_, GuestPhys(0x1000)};
    GuestPhys buffer_ = allocator_.take(8);
    std::map<uint8_t, uint32_t> structures_;
    uint32_t msix_ = 0;
};

TEST_F(VirtioPciTest, SaysWhatItIs) {
    PciFunction& function = device_.function();
    EXPECT_EQ(function.config_read(0, 4), 0x10441af4u);  // entropy is type 4
    EXPECT_EQ(function.config_read(8, 4), kClass << 8 | kRevision);
    for (uint8_t type = 1; type <= 5; ++type) EXPECT_TRUE(structures_.contains(type)) << type;
    EXPECT_EQ(get(kNumQueues, 2), 1u);
    EXPECT_EQ(get(kQueueSize, 2), entropy_.queue_size_max(0));
    put(kQueueSelect, 2, 5);
    EXPECT_EQ(get(kQueueSize, 2), 0u);
}

TEST_F(VirtioPciTest, WorksWithItsPin) {
    negotiate();
    auto queue = start_queue();
    EXPECT_EQ(get(kQueueEnable, 2), 1u);
    ask(queue);
    ASSERT_TRUE(queue.take_used());
    EXPECT_EQ(memory_->load<uint64_t>(buffer_), 0x0707070707070707u);
    EXPECT_TRUE(intx_.level());
    EXPECT_EQ(space_.read(place(CapabilityType::kIsr), 1), kIsrQueue);
    EXPECT_FALSE(intx_.level());
    EXPECT_EQ(space_.read(place(CapabilityType::kIsr), 1), 0u);
}

TEST_F(VirtioPciTest, WorksWithMessages) {
    ASSERT_NE(msix_, 0u);
    space_.write(kMsixAt + 16, 4, 0xfee01000);  // vector 1
    space_.write(kMsixAt + 20, 4, 0);
    space_.write(kMsixAt + 24, 4, 0x41);
    space_.write(kMsixAt + 28, 4, 0);
    device_.function().config_write(msix_ + 2, 2, 0x8000);
    negotiate();
    put(kQueueMsixVector, 2, 1);
    EXPECT_EQ(get(kQueueMsixVector, 2), 1u);
    auto queue = start_queue();
    ask(queue);
    ASSERT_TRUE(queue.take_used());
    const auto messages = msi_.take();
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].address, 0xfee01000u);
    EXPECT_EQ(messages[0].data, 0x41u);
    EXPECT_FALSE(intx_.level());
    EXPECT_EQ(space_.read(place(CapabilityType::kIsr), 1), 0u);
    put(kQueueMsixVector, 2, 200);  // no such vector
    EXPECT_EQ(get(kQueueMsixVector, 2), kNoVector);
}

TEST_F(VirtioPciTest, AResetForgetsEverything) {
    negotiate();
    auto queue = start_queue();
    ask(queue);
    EXPECT_TRUE(intx_.level());
    put(kDeviceStatus, 1, 0);
    EXPECT_FALSE(intx_.level());
    EXPECT_EQ(get(kDeviceStatus, 1), 0u);
    EXPECT_EQ(get(kQueueEnable, 2), 0u);
    EXPECT_EQ(get(kQueueDescLow, 4), 0u);
    device_.reset();
    EXPECT_EQ(device_.function().config_read(4, 2), 0u);
}

TEST_F(VirtioPciTest, ReachesNoMemoryWithoutBusMastering) {
    negotiate();
    auto queue = start_queue();
    device_.function().config_write(4, 2, 2);
    ask(queue);
    EXPECT_FALSE(queue.take_used());
}

TEST_F(VirtioPciTest, ConfigurationSpaceLeadsToTheStructures) {
    PciFunction& function = device_.function();
    const uint32_t window = structures_.at(static_cast<uint8_t>(CapabilityType::kPciConfig));
    const auto aim = [&](uint64_t field, uint32_t length) {
        function.config_write(window + 4, 1, 4);
        function.config_write(
            window + 8, 4, static_cast<uint32_t>(place(CapabilityType::kCommon) - kBarAt + field));
        function.config_write(window + 12, 4, length);
    };
    aim(kDeviceStatus, 1);
    function.config_write(window + 16, 1, 3);
    EXPECT_EQ(get(kDeviceStatus, 1), 3u);
    EXPECT_EQ(function.config_read(window + 16, 1), 3u);
    aim(kDeviceFeature, 4);
    EXPECT_EQ(function.config_read(window + 16, 4), get(kDeviceFeature, 4));
    aim(kQueueDescLow, 4);
    function.config_write(window + 16, 4, 0x12345670);
    EXPECT_EQ(get(kQueueDescLow, 4), 0x12345670u);
    // Nothing happens at a place that is not there, or with an odd length.
    aim(0x10000, 4);
    function.config_write(window + 16, 4, 1);
    aim(kDeviceStatus, 3);
    function.config_write(window + 16, 4, 0);
    function.config_write(window + 4, 1, 1);
    aim(kDeviceStatus, 1);
    function.config_write(window + 4, 1, 1);
    function.config_write(window + 16, 1, 0);
    EXPECT_EQ(get(kDeviceStatus, 1), 3u);
}

TEST_F(VirtioPciTest, OddAccessesAreHarmless) {
    for (unsigned size : {1u, 2u, 4u, 8u}) {
        for (uint64_t offset = 0; offset + size <= 0x4000; offset += 1) {
            if (offset / 0x1000 == 3) continue;  // bells
            space_.read(kBarAt + offset, size);
            space_.write(kBarAt + offset, size, ~uint64_t{0});
        }
    }
    put(kDeviceStatus, 1, 0);
    EXPECT_EQ(get(kDeviceStatus, 1), 0u);
}

}  // namespace
}  // namespace mynah
