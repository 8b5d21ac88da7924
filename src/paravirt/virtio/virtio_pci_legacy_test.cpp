#include <gtest/gtest.h>

#include <array>

#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_net.h"
#include "paravirt/virtio/virtio_pci.h"
#include "spec/virtio/pci_registers.h"
#include "testing/memory_disk.h"
#include "testing/pci_slot.h"
#include "testing/scripted_network_backend.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::pci;
using testing::GuestBuffer;
using testing::GuestQueue;
using testing::PciSlotBoard;

constexpr uint64_t kRam = 1 << 20, kDisk = 1 << 16;
constexpr uint32_t kClass = 0x010000;

// A driver of before version 1.0, at the ports.
class VirtioPciLegacyTest : public ::testing::Test {
  protected:
    VirtioPciLegacyTest() { PciSlotBoard::set_up(device_.function()); }

    uint64_t in(uint64_t port, unsigned size) {
        return board_.ports.read(PciSlotBoard::kIoBars + port, size);
    }
    void out(uint64_t port, unsigned size, uint64_t value) {
        board_.ports.write(PciSlotBoard::kIoBars + port, size, value);
    }
    void negotiate(uint32_t features) {
        out(kLegacyStatus, 1, 0);
        out(kLegacyStatus, 1, 1);
        out(kLegacyStatus, 1, 3);
        out(kLegacyDriverFeatures, 4, features);
    }
    GuestQueue make_queue() {
        out(kLegacyQueueSelect, 2, 0);
        const auto size = static_cast<uint16_t>(in(kLegacyQueueSize, 2));
        GuestQueue queue(allocator_, size, false, kLegacyPage);
        out(kLegacyQueueAddress, 4, queue.descriptors().value / kLegacyPage);
        return queue;
    }
    // Reads the second sector; the status the device gives.
    std::optional<uint8_t> read_sector(GuestQueue& queue) {
        const GuestPhys header = allocator_.take(16), data = allocator_.take(512);
        const GuestPhys status = allocator_.take(1);
        EXPECT_TRUE(
            board_.memory->store(header, virtio::block::RequestHeader{virtio::block::kIn, 0, 1}));
        const std::array<GuestBuffer, 3> chain{
            {{header, 16, false}, {data, 512, true}, {status, 1, true}}};
        queue.add(chain);
        out(kLegacyQueueNotify, 2, 0);
        if (!queue.take_used()) return std::nullopt;
        EXPECT_EQ(board_.memory->load<uint8_t>(data), 0x5a);
        return board_.memory->load<uint8_t>(status);
    }

    PciSlotBoard board_{kRam};
    testing::MemoryDisk disk_{kDisk};
    VirtioBlock block_{disk_, {}};
    VirtioPci device_{block_, board_.attachment(), kClass, VirtioPci::Interface::kTransitional};
    testing::GuestAllocator allocator_{*board_.memory, GuestPhys(0x4000)};
};

TEST_F(VirtioPciLegacyTest, SaysWhatItIs) {
    PciFunction& function = device_.function();
    EXPECT_EQ(function.config_read(0, 4), 0x10011af4u);
    EXPECT_EQ(function.config_read(8, 1), 0u);
    EXPECT_EQ(function.config_read(0x2e, 2), 2u);
    EXPECT_EQ(in(kLegacyQueueSize, 2), VirtioBlock::kQueueSize);
    EXPECT_EQ(in(kLegacyConfig, 8), kDisk / 512);
    EXPECT_NE(in(kLegacyDeviceFeatures, 4) & virtio::block::kFeatureFlush, 0u);
    // Behind the vectors as soon as there are some.
    for (uint32_t at = function.config_read(0x34, 1); at != 0; at = function.config_read(at + 1, 1))
        if (function.config_read(at, 1) == 0x11) function.config_write(at + 2, 2, 0x8000);
    EXPECT_EQ(in(kLegacyConfigBehindVectors, 8), kDisk / 512);
    out(kLegacyConfigVector, 2, 1);
    EXPECT_EQ(in(kLegacyConfigVector, 2), 1u);
    out(kLegacyQueueVector, 2, 99);
    EXPECT_EQ(in(kLegacyQueueVector, 2), kNoVector);
}

TEST_F(VirtioPciLegacyTest, ADriverReads) {
    disk_.bytes()[512] = std::byte{0x5a};
    negotiate(0);
    GuestQueue queue = make_queue();
    out(kLegacyStatus, 1, 7);
    EXPECT_EQ(in(kLegacyStatus, 1), 7u);  // no FEATURES_OK
    EXPECT_EQ(in(kLegacyQueueAddress, 4), queue.descriptors().value / kLegacyPage);
    EXPECT_EQ(read_sector(queue), 0);
    EXPECT_TRUE(board_.intx.level());
    EXPECT_EQ(in(kLegacyIsr, 1), kIsrQueue);
    EXPECT_FALSE(board_.intx.level());
    // Address 0 stops it, and a reset forgets it.
    out(kLegacyQueueAddress, 4, 0);
    EXPECT_EQ(read_sector(queue), std::nullopt);
    out(kLegacyStatus, 1, 0);
    EXPECT_EQ(in(kLegacyStatus, 1), 0u);
}

TEST_F(VirtioPciLegacyTest, ADriverRingsBeforeItIsReady) {
    disk_.bytes()[512] = std::byte{0x5a};
    negotiate(0);
    GuestQueue queue = make_queue();
    EXPECT_EQ(read_sector(queue), 0);
}

TEST_F(VirtioPciLegacyTest, FeaturesThatWereNotOfferedAreRefused) {
    negotiate(1u << 31);
    GuestQueue queue = make_queue();
    out(kLegacyStatus, 1, 7);
    EXPECT_EQ(in(kLegacyStatus, 1), 3u);
    EXPECT_EQ(read_sector(queue), std::nullopt);
}

TEST_F(VirtioPciLegacyTest, AQueueOutsideMemoryNeedsAReset) {
    negotiate(0);
    out(kLegacyQueueAddress, 4, 0xfffffff0);
    out(kLegacyStatus, 1, 7);
    EXPECT_NE(in(kLegacyStatus, 1) & virtio::kStatusNeedsReset, 0u);
    out(kLegacyStatus, 1, 0);
    EXPECT_EQ(in(kLegacyStatus, 1), 0u);
}

TEST_F(VirtioPciLegacyTest, TheModernInterfaceIsThereToo) {
    negotiate(0);
    GuestQueue queue = make_queue();
    constexpr uint64_t kCommon = PciSlotBoard::kMemoryBars + 4 * 0x10000;
    EXPECT_EQ(board_.memory_space.read(kCommon + kDeviceStatus, 1), 3u);
    EXPECT_EQ(board_.memory_space.read(kCommon + kQueueDescLow, 4), queue.descriptors().value);
}

// Ten bytes before a packet unless buffers are merged [virtio-1.2 5.1.6.1], and an address that is
// written.
TEST(VirtioPciLegacyNet, HeadersAreShorter) {
    PciSlotBoard board(kRam);
    testing::ScriptedNetworkBackend backend;
    VirtioNet net(backend, {});
    VirtioPci device(net, board.attachment(), 0x020000, VirtioPci::Interface::kTransitional);
    PciSlotBoard::set_up(device.function());
    testing::GuestAllocator allocator(*board.memory, GuestPhys(0x4000));
    const auto out = [&](uint64_t port, unsigned size, uint64_t value) {
        board.ports.write(PciSlotBoard::kIoBars + port, size, value);
    };
    out(kLegacyStatus, 1, 3);
    for (uint64_t i = 0; i < 6; ++i) out(kLegacyConfig + i, 1, 0x52 + i);
    EXPECT_EQ(board.ports.read(PciSlotBoard::kIoBars + kLegacyConfig, 4), 0x55545352u);
    out(kLegacyQueueSelect, 2, 1);
    GuestQueue queue(allocator, VirtioNet::kQueueSize, false, kLegacyPage);
    out(kLegacyQueueAddress, 4, queue.descriptors().value / kLegacyPage);
    out(kLegacyStatus, 1, 7);
    const GuestPhys packet = allocator.take(10 + 60);
    EXPECT_TRUE(board.memory->store<uint8_t>(packet + 10, 0xab));
    const GuestBuffer buffer{packet, 70, false};
    queue.add({&buffer, 1});
    out(kLegacyQueueNotify, 2, 1);
    const auto sent = backend.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].bytes.size(), 60u);
    EXPECT_EQ(sent[0].bytes[0], std::byte{0xab});
}

}  // namespace
}  // namespace mynah
