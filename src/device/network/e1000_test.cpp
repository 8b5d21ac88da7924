#include "device/network/e1000.h"

#include <gtest/gtest.h>

#include <optional>

#include "testing/manual_clock.h"
#include "testing/packet_builder.h"
#include "testing/pci_slot.h"
#include "testing/scripted_network_backend.h"

namespace mynah {
namespace {

using namespace i82540em;
using namespace testing;

constexpr MacAddress kMac{{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
constexpr MacAddress kPeer{{0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc}};
constexpr uint64_t kRegisters = 0xfe000000, kPorts = 0xc000;
constexpr uint64_t kTxRing = 0x1000, kRxRing = 0x2000, kTxData = 0x10000, kRxData = 0x40000;

class E1000Test : public ::testing::Test {
  protected:
    E1000Test() {
        card_.emplace(slot_.attachment(), clock_, backend_, kMac, rom_);
        card_->function().config_write(0x10, 4, kRegisters);
        card_->function().config_write(0x14, 4, kPorts);
        card_->function().config_write(0x04, 2, 7);
    }
    uint32_t read(uint64_t offset) {
        return static_cast<uint32_t>(slot_.memory_space.read(kRegisters + offset, 4));
    }
    void write(uint64_t offset, uint32_t value) {
        slot_.memory_space.write(kRegisters + offset, 4, value);
    }
    void begin() {
        write(kCtrl, kCtrlSlu);
        write(kTdbal, kTxRing);
        write(kTdlen, 256);
        write(kTctl, kTctlEn);
        for (uint64_t i = 0; i < 16; ++i) {
            ReceiveDescriptor descriptor{};
            descriptor.address = kRxData + i * 2048;
            ASSERT_TRUE(slot_.memory->store(GuestPhys{kRxRing + i * 16}, descriptor));
        }
        write(kRdbal, kRxRing);
        write(kRdlen, 256);
        write(kRdt, 4);
        write(kRctl, kRctlEn | kRctlBam);
        read(kIcr);
    }
    void add(uint64_t index, std::span<const std::byte> frame) {
        ASSERT_TRUE(slot_.memory->write(GuestPhys{kTxData + index * 2048}, frame));
        const TransmitDescriptor descriptor{
            kTxData + index * 2048, kTxEop | kTxRs | static_cast<uint32_t>(frame.size()), 0};
        ASSERT_TRUE(slot_.memory->store(GuestPhys{kTxRing + index * 16}, descriptor));
    }

    PciSlotBoard slot_{1 << 20, 1 << 20};
    ManualClock clock_;
    ScriptedNetworkBackend backend_;
    std::vector<std::byte> rom_ = std::vector<std::byte>(70000, std::byte{0x55});
    std::optional<E1000> card_;
};

TEST_F(E1000Test, IsThatCard) {
    PciFunction& function = card_->function();
    EXPECT_EQ(function.config_read(0, 4), 0x100e8086u);
    EXPECT_EQ(function.config_read(8, 4) >> 8, 0x020000u);
    function.config_write(0x10, 4, ~0u);
    EXPECT_EQ(function.config_read(0x10, 4), 0xfffe0000u);
    function.config_write(0x14, 4, ~0u);
    EXPECT_EQ(function.config_read(0x14, 4), 0xffffffc1u);
    function.config_write(0x30, 4, ~0u << 11);
    EXPECT_EQ(function.config_read(0x30, 4), 0xfffe0000u);  // 128 KiB hold the ROM
}

TEST_F(E1000Test, SendsAndReceives) {
    begin();
    write(kIms, kCauseTxdw | kCauseRxt0);
    const auto out = make_frame(kPeer, kMac, 500), in = make_frame(kMac, kPeer, 600);
    add(0, out);
    write(kTdt, 1);
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].bytes, out);
    EXPECT_TRUE(slot_.intx.level());
    EXPECT_NE(read(kIcr) & kCauseTxdw, 0u);
    EXPECT_FALSE(slot_.intx.level());

    ASSERT_TRUE(backend_.deliver(in));
    EXPECT_TRUE(slot_.intx.level());
    EXPECT_NE(read(kIcr) & kCauseRxt0, 0u);
    std::vector<std::byte> stored(600);
    ASSERT_TRUE(slot_.memory->read(GuestPhys{kRxData}, stored));
    EXPECT_EQ(stored, in);
}

TEST_F(E1000Test, WaitsForABackendThatIsFull) {
    begin();
    backend_.set_room(1);
    for (uint8_t i = 0; i < 3; ++i) add(i, make_frame(kPeer, kMac, 100, i));
    write(kTdt, 3);
    EXPECT_EQ(backend_.take_sent().size(), 1u);
    add(3, make_frame(kPeer, kMac, 100, 3));
    write(kTdt, 4);
    EXPECT_TRUE(backend_.take_sent().empty());
    backend_.set_room(100);
    backend_.make_ready();
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(sent[2].bytes, make_frame(kPeer, kMac, 100, 3));
}

TEST_F(E1000Test, AsksForMoreWhenThereIsRoom) {
    begin();
    const auto frame = make_frame(kMac, kPeer, 60);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(backend_.deliver(frame));
    EXPECT_FALSE(backend_.deliver(frame));
    EXPECT_EQ(backend_.receive_ready_calls(), 0u);
    write(kRdt, 8);
    EXPECT_EQ(backend_.receive_ready_calls(), 1u);
    EXPECT_TRUE(backend_.deliver(frame));
    write(kRdt, 9);
    EXPECT_EQ(backend_.receive_ready_calls(), 1u);  // nobody waits
}

TEST_F(E1000Test, DelaysInterruptsByTheClock) {
    begin();
    write(kIms, kCauseRxt0);
    write(kRdtr, 100);
    ASSERT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 60)));
    EXPECT_FALSE(slot_.intx.level());
    clock_.advance(100 * 1024);
    EXPECT_TRUE(slot_.intx.level());
}

TEST_F(E1000Test, FollowsTheLink) {
    begin();
    write(kIms, kCauseLsc);
    backend_.set_link(false);
    EXPECT_TRUE(slot_.intx.level());
    EXPECT_EQ(read(kStatus) & kStatusLu, 0u);
    EXPECT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 60)));
    EXPECT_EQ(read(kRdh), 0u);
}

TEST_F(E1000Test, HasItsRegistersInPortsToo) {
    slot_.ports.write(kPorts, 4, kRal);
    EXPECT_EQ(slot_.ports.read(kPorts, 4), kRal);
    EXPECT_EQ(slot_.ports.read(kPorts + 4, 4), 0x12005452u);
    slot_.ports.write(kPorts, 4, kFct);
    slot_.ports.write(kPorts + 4, 4, 0x8808);
    EXPECT_EQ(read(kFct), 0x8808u);
    slot_.ports.write(kPorts, 4, 0xffffffff);  // beyond them
    slot_.ports.write(kPorts + 4, 4, 1);
    EXPECT_EQ(slot_.ports.read(kPorts + 4, 4), 0u);
}

TEST_F(E1000Test, TouchesNoMemoryUnlessItMayBeMaster) {
    begin();
    card_->function().config_write(0x04, 2, 3);
    add(0, make_frame(kPeer, kMac, 60));
    write(kTdt, 1);
    EXPECT_TRUE(backend_.take_sent().empty());
    (void)backend_.deliver(make_frame(kMac, kPeer, 60));
    EXPECT_EQ(slot_.memory->load<uint8_t>(GuestPhys{kRxRing + 12}).value(), 0);
}

TEST_F(E1000Test, LoopsBackInTheTransceiver) {
    begin();
    write(kMdic, 1u << 26 | 1u << 21 | 0x4140);
    const auto frame = make_frame(kMac, kMac, 200);
    add(0, frame);
    write(kTdt, 1);
    EXPECT_TRUE(backend_.take_sent().empty());
    std::vector<std::byte> stored(200);
    ASSERT_TRUE(slot_.memory->read(GuestPhys{kRxData}, stored));
    EXPECT_EQ(stored, frame);
}

TEST_F(E1000Test, ResetEndsEverything) {
    begin();
    write(kIms, kCauseRxt0);
    ASSERT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 60)));
    EXPECT_TRUE(slot_.intx.level());
    card_->reset();
    EXPECT_FALSE(slot_.intx.level());
    EXPECT_EQ(card_->function().command(), 0);
    EXPECT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 60)));
    card_.reset();
    EXPECT_FALSE(backend_.has_sink());
}

}  // namespace
}  // namespace mynah
