#include "paravirt/virtio/iommu/virtio_iommu.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "paravirt/virtio/virtio_entropy.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::iommu;
using testing::GuestBuffer;

constexpr uint64_t kFeatures = virtio::kFeatureVersion1 | kFeatureInputRange | kFeatureDomainRange |
                               kFeatureMapUnmap | kFeatureProbe | kFeatureBypassConfig;

class OnesSource final : public EntropySource {
  public:
    size_t fill(std::span<std::byte> to) override {
        std::ranges::fill(to, std::byte{0x11});
        return to.size();
    }
};

class VirtioIommuTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(driver_.negotiate(kFeatures));
        requests_.emplace(driver_.make_queue(kRequestQueue, 64));
        events_.emplace(driver_.make_queue(kEventQueue, 16));
        driver_.driver_ok();
    }
    // The tail's status; what comes before it goes to properties_.
    template <typename Request>
    uint8_t ask(uint8_t type, const Request& request, uint32_t room = sizeof(Tail)) {
        std::vector<std::byte> bytes(4 + sizeof request);
        bytes[0] = static_cast<std::byte>(type);
        std::memcpy(bytes.data() + 4, &request, sizeof request);
        const GuestPhys from = driver_.allocator().take(bytes.size());
        const GuestPhys to = driver_.allocator().take(room);
        EXPECT_TRUE(memory_->write(from, bytes));
        const GuestBuffer buffers[] = {{from, static_cast<uint32_t>(bytes.size()), false},
                                       {to, room, true}};
        requests_->add(buffers);
        driver_.announce(kRequestQueue, *requests_);
        const auto used = requests_->take_used();
        EXPECT_TRUE(used && used->length == room);
        std::vector<std::byte> answer(room);
        EXPECT_TRUE(memory_->read(to, answer));
        properties_.assign(answer.begin(), answer.end() - sizeof(Tail));
        return std::to_integer<uint8_t>(answer[room - sizeof(Tail)]);
    }
    void map(uint64_t first, uint64_t physical, uint64_t bytes, uint32_t flags) {
        EXPECT_EQ(ask(kMap, Map{5, first, first + bytes - 1, physical, flags}), kOk);
    }
    GuestPhys offer_event() {
        const GuestBuffer buffer{driver_.allocator().take(sizeof(Fault)), sizeof(Fault), true};
        events_->add({&buffer, 1});
        driver_.announce(kEventQueue, *events_);
        return buffer.address;
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 1 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    IommuDomains domains_;
    const DmaTranslation& endpoint_ = domains_.add_endpoint(0x18);
    InlineExecutor executor_;
    VirtioIommu iommu_{domains_, executor_};
    VirtioMmio mmio_{iommu_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<testing::GuestQueue> requests_, events_;
    std::vector<std::byte> properties_;
};

TEST_F(VirtioIommuTest, SaysWhatItCanDo) {
    EXPECT_EQ(driver_.read(8), 23u);
    EXPECT_EQ(driver_.config<uint64_t>(offsetof(Config, page_size_mask)), ~uint64_t{0xfff});
    EXPECT_EQ(driver_.config<uint64_t>(offsetof(Config, input_end)), ~uint64_t{0});
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, domain_end)), ~uint32_t{0});
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, probe_size)), VirtioIommu::kProbeSize);
    EXPECT_EQ(driver_.config<uint8_t>(offsetof(Config, bypass)), 1u) << "for firmware";
}

TEST_F(VirtioIommuTest, BypassIsTheDriversAndOutlivesIt) {
    mmio_.write(0x100 + offsetof(Config, bypass), 1, 0);
    EXPECT_FALSE(domains_.bypass());
    mmio_.write(0x100 + offsetof(Config, bypass), 1, 7);
    EXPECT_EQ(driver_.config<uint8_t>(offsetof(Config, bypass)), 0u);
    driver_.write(0x70, 0);
    EXPECT_FALSE(domains_.bypass());
    iommu_.power_on();
    EXPECT_TRUE(domains_.bypass());
    ASSERT_TRUE(driver_.negotiate(kFeatures & ~kFeatureBypassConfig));
    EXPECT_FALSE(domains_.bypass()) << "a driver that cannot ask for it";
}

TEST_F(VirtioIommuTest, ProbingTellsOfInterrupts) {
    EXPECT_EQ(ask(kProbe, Probe{0x18, {}}, VirtioIommu::kProbeSize + sizeof(Tail)), kOk);
    ReservedMemory region{};
    std::memcpy(&region, properties_.data(), sizeof region);
    EXPECT_EQ(region.type, 1);
    EXPECT_EQ(region.length, 20);
    EXPECT_EQ(region.subtype, 1);
    EXPECT_EQ(region.start, 0xfee00000u);
    EXPECT_EQ(region.end, 0xfeefffffu);
    EXPECT_EQ(properties_[sizeof region], std::byte{0}) << "the list ends";
    EXPECT_EQ(ask(kProbe, Probe{0x19, {}}, VirtioIommu::kProbeSize + sizeof(Tail)), kNoEntry);
    EXPECT_EQ(ask(kProbe, Probe{0x18, {1}}, VirtioIommu::kProbeSize + sizeof(Tail)), kInvalid);
}

TEST_F(VirtioIommuTest, RequestsThatAreWrongAreRefused) {
    EXPECT_EQ(ask(kAttach, Attach{5, 0x19, 0, {}}), kNoEntry);
    EXPECT_EQ(ask(kAttach, Attach{5, 0x18, 2, {}}), kInvalid);
    EXPECT_EQ(ask(kAttach, Attach{5, 0x18, 0, {1}}), kInvalid);
    EXPECT_EQ(ask(kDetach, Detach{5, 0x18, {}}), kNoEntry);
    EXPECT_EQ(ask(kMap, Map{5, 0, 0xfff, 0, 1}), kNoEntry);
    EXPECT_EQ(ask(uint8_t{77}, Attach{}), kUnsupported);
    EXPECT_EQ(ask(kMap, uint32_t{0}), kInvalid) << "too short";
}

// A device behind it, with a driver whose addresses are all moved up by 4 GiB.
class BehindIommuTest : public VirtioIommuTest {
  protected:
    static constexpr uint64_t kMoved = uint64_t{1} << 32, kFree = 0x80000;

    void start_behind() {
        ASSERT_EQ(ask(kAttach, Attach{5, 0x18, 0, {}}), kOk);
        map(kMoved + kFree, kFree, 0x10000, kMapRead | kMapWrite);
        EXPECT_NE(behind_.device_features() & virtio::kFeatureAccessPlatform, 0u);
        ASSERT_TRUE(behind_.negotiate(virtio::kFeatureVersion1 | virtio::kFeatureAccessPlatform));
        // The rings are written at the memory's own addresses; the device is told the others.
        queue_.emplace(behind_.make_queue(0, 8));
    }
    void tell_layout(uint64_t moved) {
        behind_.write(0x30, 0);
        behind_.write(0x44, 0);
        const GuestPhys places[] = {queue_->descriptors(), queue_->available(), queue_->used()};
        for (uint64_t i = 0; i < 3; ++i) {
            const uint64_t at = places[i].value + moved;
            behind_.write(0x80 + 0x10 * i, static_cast<uint32_t>(at));
            behind_.write(0x84 + 0x10 * i, static_cast<uint32_t>(at >> 32));
        }
        behind_.write(0x44, 1);
        behind_.driver_ok();
    }

    OnesSource source_;
    VirtioEntropy entropy_{source_};
    testing::RecordingLine behind_line_;
    const DmaView translated_{*memory_, endpoint_};
    VirtioMmio behind_mmio_{entropy_, translated_, behind_line_};
    testing::VirtioDriver behind_{behind_mmio_, *memory_, GuestPhys{kFree}};
    std::optional<testing::GuestQueue> queue_;
};

TEST_F(BehindIommuTest, ADeviceReachesWhatIsMapped) {
    start_behind();
    tell_layout(kMoved);
    map(0x7000, 0x90000, 0x1000, kMapWrite);
    const GuestBuffer buffer{GuestPhys{0x7100}, 16, true};
    queue_->add({&buffer, 1});
    behind_.announce(0, *queue_);
    EXPECT_EQ(queue_->take_used()->length, 16u);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys(0x90100)), 0x11);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys(0x7100)), 0);
}

TEST_F(BehindIommuTest, WhatIsNotMappedIsRefusedAndTold) {
    start_behind();
    tell_layout(kMoved);
    const GuestPhys event = offer_event();
    const GuestBuffer buffer{GuestPhys{0x7100}, 16, true};
    queue_->add({&buffer, 1});
    behind_.announce(0, *queue_);
    EXPECT_EQ(memory_->load<uint8_t>(GuestPhys(0x7100)), 0);
    EXPECT_NE(behind_.status() & virtio::kStatusNeedsReset, 0u) << "its driver's mistake";
    EXPECT_EQ(driver_.status() & virtio::kStatusNeedsReset, 0u) << "and nobody else's";
    ASSERT_TRUE(events_->take_used());
    const auto fault = memory_->load<Fault>(event).value();
    EXPECT_EQ(fault.reason, kMapping);
    EXPECT_EQ(fault.endpoint, 0x18u);
    EXPECT_EQ(fault.address, 0x7100u);
    EXPECT_EQ(fault.flags, kFaultAddress | kFaultWrite);
}

TEST_F(BehindIommuTest, ADriverThatKnowsOfNoIommuIsRefused) {
    EXPECT_FALSE(behind_.negotiate(virtio::kFeatureVersion1));
}

TEST_F(BehindIommuTest, FaultsWaitForBuffersUpToALimit) {
    ASSERT_EQ(ask(kAttach, Attach{5, 0x18, 0, {}}), kOk);
    // The queue has no buffers yet, but its driver is there.
    const GuestPhys first = offer_event();
    for (uint64_t i = 0; i < 1000; ++i)
        EXPECT_FALSE(endpoint_.translate(GuestPhys(i << 12), 1, DmaUse::kRead));
    EXPECT_EQ(memory_->load<Fault>(first)->address, 0u);
    unsigned told = events_->take_used() ? 1 : 0;
    for (int i = 0; i < 70; ++i) {
        offer_event();
        while (events_->take_used()) ++told;
    }
    EXPECT_EQ(told, 1 + VirtioIommu::kFaultsMost);
}

}  // namespace
}  // namespace mynah
