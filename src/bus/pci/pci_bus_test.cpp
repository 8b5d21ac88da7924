#include "bus/pci/pci_bus.h"

#include <gtest/gtest.h>

#include "bus/pci/pci_config_access.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"

namespace mynah {
namespace {

using testing::RecordingLine;
using testing::RecordingMsiSink;

class CountingHandler final : public IoHandler {
  public:
    uint64_t read(uint64_t offset, unsigned) override { return 0x100 + offset; }
    void write(uint64_t offset, unsigned, uint64_t value) override { last_ = {offset, value}; }
    std::pair<uint64_t, uint64_t> last_{};
};

struct Board {
    Board() {
        const GuestMemory::Range ram{GuestPhys(0), 1 << 20};
        memory = GuestMemory::create(std::span(&ram, 1), 1 << 20).take_value();
    }
    PciAttachment attachment() { return {ports, space, *memory, intx, msi}; }
    IoSpace ports, space;
    std::unique_ptr<GuestMemory> memory;
    RecordingLine intx;
    RecordingMsiSink msi;
    CountingHandler handler;
};

constexpr PciIdentity kIdentity{.vendor = 0x1234, .device = 0x5678, .class_code = 0x020000};

void enable(PciFunction& function, uint16_t command = 7) {
    function.config_write(pci::kCommand, 2, command);
}

TEST(PciFunction, HeaderIsReadOnlyButForCommandAndLine) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    for (unsigned at = 0; at < 0x40; at += 4) function.config_write(at, 4, 0xffffffff);
    EXPECT_EQ(function.config_read(0, 4), 0x56781234u);
    EXPECT_EQ(function.config_read(pci::kClassCode, 2), 0u);
    EXPECT_EQ(function.config_read(pci::kClassCode + 2, 1), 2u);
    EXPECT_EQ(function.command(), pci::command::kWritable);
    EXPECT_EQ(function.config_read(pci::kInterruptLine, 2), 0x1ffu);
    EXPECT_EQ(function.config_read(pci::kBar0, 4), 0u);
    EXPECT_EQ(function.config_read(0x100, 4), ~0u) << "conventional: nothing beyond 255";
}

TEST(PciFunction, ItsPinIsTheOneThatTheBoardWired) {
    Board board;
    PciAttachment place = board.attachment();
    place.intx_pin = 3;
    EXPECT_EQ(PciFunction(place, kIdentity).config_read(pci::kInterruptPin, 1), 3u);
    PciIdentity silent = kIdentity;
    silent.interrupt_pin = 0;
    EXPECT_EQ(PciFunction(place, silent).config_read(pci::kInterruptPin, 1), 0u);
}

TEST(PciFunction, BarsSizeAndMove) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    function.add_bar(0, PciFunction::Bar::kMemory64, 0x4000, board.handler);
    function.add_bar(2, PciFunction::Bar::kIo, 0x20, board.handler);
    function.config_write(pci::kBar0, 4, ~0u);
    function.config_write(pci::kBar0 + 4, 4, ~0u);
    function.config_write(pci::kBar0 + 8, 4, ~0u);
    enable(function);  // nowhere: beyond what is addressable
    EXPECT_EQ(function.config_read(pci::kBar0, 4), 0xffffc004u);
    EXPECT_EQ(function.config_read(pci::kBar0 + 4, 4), ~0u);
    EXPECT_EQ(function.config_read(pci::kBar0 + 8, 4), 0xffffffe1u);
    function.config_write(pci::kBar0, 4, 0xe0000000);
    function.config_write(pci::kBar0 + 4, 4, 1);
    function.config_write(pci::kBar0 + 8, 4, 0xc000);
    EXPECT_EQ(board.space.read(0x1e0000010, 4), 0x110u);
    EXPECT_EQ(board.ports.read(0xc004, 1), 0x04u);
    function.config_write(pci::kBar0 + 4, 4, 2);
    EXPECT_EQ(board.space.read(0x1e0000010, 4), 0xffffffffu);
    EXPECT_EQ(board.space.read(0x2e0000010, 4), 0x110u);
    enable(function, pci::command::kMemory);
    EXPECT_EQ(board.ports.read(0xc004, 1), 0xffu);
    function.reset();
    EXPECT_EQ(board.space.read(0x2e0000010, 4), 0xffffffffu);
    EXPECT_EQ(function.config_read(pci::kBar0, 4), 4u);
}

TEST(PciFunction, MemoryBarAndRomAreGuestMemory) {
    Board board;
    const auto video = board.memory->take_block(0x10000), rom = board.memory->take_block(0x1000);
    rom.host[0] = std::byte{0x55};
    PciFunction function(board.attachment(), kIdentity);
    function.add_memory_bar(0, PciFunction::Bar::kPrefetchable32, video);
    function.add_rom(rom);
    function.config_write(pci::kBar0, 4, 0xe0000000);
    function.config_write(pci::kRom, 4, 0xe8000001);
    EXPECT_EQ(board.memory->host(GuestPhys(0xe0000000), 1), nullptr);
    enable(function);
    EXPECT_EQ(board.memory->host(GuestPhys(0xe0001000), 1), video.host + 0x1000);
    EXPECT_EQ(board.memory->load<uint8_t>(GuestPhys(0xe8000000)), 0x55);
    EXPECT_FALSE(board.memory->store(GuestPhys(0xe8000000), uint8_t{1}));
    function.config_write(pci::kRom, 4, 0xe8000000);
    EXPECT_EQ(board.memory->host(GuestPhys(0xe8000000), 1), nullptr);
    function.config_write(pci::kBar0, 4, 0x80000);
    EXPECT_NE(board.memory->host(GuestPhys(0x80000), 1), video.host) << "RAM is not hidden";
    // While it is sized, it lies at the end of the address space.
    function.config_write(pci::kBar0, 4, ~0u);
    function.config_write(pci::kRom, 4, ~0u);
    EXPECT_EQ(board.memory->host(GuestPhys(0xfffff000), 1), rom.host);
}

TEST(PciFunction, DmaNeedsBusMastering) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    EXPECT_FALSE(function.dma().load<uint32_t>(GuestPhys(0)));
    EXPECT_FALSE(function.dma().store_release(GuestPhys(0), uint32_t{1}));
    enable(function, pci::command::kBusMaster);
    EXPECT_TRUE(function.dma().load<uint32_t>(GuestPhys(0)));
    EXPECT_TRUE(function.dma().store_release(GuestPhys(0), uint32_t{1}));
    enable(function, 0);
    EXPECT_FALSE(function.dma().write(GuestPhys(0), std::span<const std::byte>()));
}

TEST(PciFunction, IntxObeysDisableAndMsi) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    function.add_msi(4);
    const unsigned msi = function.config_read(pci::kCapabilities, 1);
    function.set_intx(true);
    EXPECT_TRUE(board.intx.level());
    EXPECT_NE(function.config_read(pci::kStatus, 2) & pci::status::kInterrupt, 0u);
    enable(function, pci::command::kIntxDisable);
    EXPECT_FALSE(board.intx.level());
    EXPECT_NE(function.config_read(pci::kStatus, 2) & pci::status::kInterrupt, 0u);
    enable(function, 0);
    EXPECT_TRUE(board.intx.level());
    function.config_write(msi + pci::msi::kControl, 2, pci::msi::kEnable);
    EXPECT_FALSE(board.intx.level());
    EXPECT_TRUE(function.msi_enabled());
}

TEST(PciFunction, MsiVectorsAndMasks) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    function.add_msi(4);
    const unsigned msi = function.config_read(pci::kCapabilities, 1);
    EXPECT_EQ(function.config_read(msi, 1), pci::capability::kMsi);
    function.config_write(msi + pci::msi::kAddress, 4, 0xfee01000);
    function.config_write(msi + pci::msi::kData, 2, 0x40);
    function.config_write(msi + pci::msi::kControl, 2, pci::msi::kEnable | 1u << 4);  // two
    function.send_msi(0);
    EXPECT_TRUE(board.msi.take().empty()) << "no bus master";
    enable(function);
    function.send_msi(3);
    auto sent = board.msi.take();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].address, 0xfee01000u);
    EXPECT_EQ(sent[0].data, 0x41u);
    function.config_write(msi + pci::msi::kMask, 4, 2);
    function.send_msi(1);
    EXPECT_TRUE(board.msi.take().empty());
    EXPECT_EQ(function.config_read(msi + pci::msi::kPending, 4), 2u);
    function.config_write(msi + pci::msi::kMask, 4, 0);
    EXPECT_EQ(board.msi.take().size(), 1u);
    EXPECT_EQ(function.config_read(msi + pci::msi::kPending, 4), 0u);
}

TEST(PciFunction, MsixTableLiesInABar) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    function.add_bar(1, PciFunction::Bar::kMemory32, 0x2000, board.handler);
    function.add_msix(3, 1, 0x1000, 0x1800);
    const unsigned msix = function.config_read(pci::kCapabilities, 1);
    EXPECT_EQ(function.config_read(msix + pci::msix::kControl, 2), 2u);
    EXPECT_EQ(function.config_read(msix + pci::msix::kTable, 4), 0x1001u);
    function.config_write(pci::kBar0 + 4, 4, 0xe0000000);
    enable(function);
    EXPECT_EQ(board.space.read(0xe0000008, 4), 0x108u);
    EXPECT_EQ(board.space.read(0xe000100c, 4), 1u) << "masked after reset";
    board.space.write(0xe0001010, 8, 0xfee00000);
    board.space.write(0xe0001018, 4, 0x77);
    function.config_write(msix + pci::msix::kControl, 2, pci::msix::kEnable);
    function.send_msi(1);
    EXPECT_EQ(board.space.read(0xe0001800, 8), 2u);
    board.space.write(0xe0001800, 8, 0);  // read-only
    EXPECT_TRUE(board.msi.take().empty());
    board.space.write(0xe000101c, 4, 0xfffffffe);
    auto sent = board.msi.take();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].data, 0x77u);
    EXPECT_EQ(board.space.read(0xe000101c, 4), 0u);
    function.send_msi(99);
    function.send_msi(1);
    EXPECT_EQ(board.msi.take().size(), 1u);
    EXPECT_EQ(board.handler.last_, (std::pair<uint64_t, uint64_t>{}));
}

TEST(PciFunction, CapabilitiesAreChainedInOrder) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    function.set_config(0x44, 4, 0x11223344);
    const unsigned express = function.add_express(PciFunction::Express::kEndpoint);
    const unsigned vendor = function.add_capability(pci::capability::kVendor, {4, 0}, {0, 0xff});
    EXPECT_EQ(function.config_read(pci::kCapabilities, 1), express);
    EXPECT_EQ(function.config_read(express + 1, 1), vendor);
    EXPECT_EQ(function.config_read(vendor + 1, 1), 0u);
    EXPECT_EQ(vendor, 0x40u) << "the gap before what the device keeps at 44h";
    EXPECT_EQ(function.config_read(0x44, 4), 0x11223344u);
    EXPECT_EQ(function.config_read(0x100, 4), 0u) << "no extended capabilities";
    function.config_write(vendor + 2, 2, 0xffff);
    EXPECT_EQ(function.config_read(vendor + 2, 2), 0xff04u);
}

TEST(PciFunction, TellsTheDeviceOfWrites) {
    Board board;
    PciFunction function(board.attachment(), kIdentity);
    function.set_config(0x50, 4, 0, 0xff);
    function.set_config_clearable(0x50, 4, 0xff00);
    unsigned told = 0;
    function.on_config_write([&](unsigned offset, unsigned) { told = offset; });
    function.store_config(0x50, 4, 0xaa00);
    function.config_write(0x50, 4, 0x0a0b);
    EXPECT_EQ(told, 0x50u);
    EXPECT_EQ(function.config_read(0x50, 4), 0xa00bu);
}

TEST(PciBus, FindsFunctionsBehindBridges) {
    Board board;
    PciIdentity bridge_identity = kIdentity;
    bridge_identity.bridge = true;
    PciFunction host(board.attachment(), kIdentity), other(board.attachment(), kIdentity);
    PciFunction bridge(board.attachment(), bridge_identity), far(board.attachment(), kIdentity);
    PciBus root, secondary;
    root.add({0, 0}, host);
    root.add({0, 3}, other);
    root.add_bridge({5, 0}, bridge, secondary);
    secondary.add({0, 0}, far);
    EXPECT_EQ(root.find(0, 0, 0), &host);
    EXPECT_EQ(host.config_read(pci::kHeaderType, 1), pci::header_type::kMultiFunction);
    EXPECT_EQ(bridge.config_read(pci::kHeaderType, 1), pci::header_type::kBridge);
    EXPECT_EQ(root.config_read(0, 0x08, 0, 4), ~0u);
    EXPECT_EQ(root.find(0, 1, 0), nullptr) << "the bus has no number yet";
    bridge.config_write(pci::bridge::kSecondaryBus, 1, 7);
    bridge.config_write(pci::bridge::kSubordinateBus, 1, 9);
    EXPECT_EQ(root.find(0, 7, 0), &far);
    EXPECT_EQ(root.find(0, 8, 0), nullptr);
}

TEST(PciConfigAccess, BothMechanismsReachTheSameRegisters) {
    Board board;
    CountingHandler reset_control;
    PciFunction function(board.attachment(), kIdentity);
    PciBus bus;
    bus.add({3, 0}, function);
    PciConfigPorts ports(bus, reset_control);
    PciEcam ecam(bus);
    ports.write(0, 4, 0x80001800);
    EXPECT_EQ(ports.read(4, 4), 0x56781234u);
    EXPECT_EQ(ports.read(6, 2), 0x5678u);
    EXPECT_EQ(ecam.read(3 << 15, 8), 0x0000000056781234u);
    EXPECT_EQ(ecam.read((3 << 15) + 2, 2), 0x5678u);
    EXPECT_EQ(ecam.read(0, 4), 0xffffffffu);
    ecam.write((3 << 15) + 0x3c, 1, 11);
    ports.write(0, 4, 0x8000183c);
    EXPECT_EQ(ports.read(4, 1), 11u);
    ports.write(1, 1, 6);
    EXPECT_EQ(reset_control.last_, (std::pair<uint64_t, uint64_t>{0, 6}));
    EXPECT_EQ(ports.read(0, 4), 0x8000183cu);
    ports.write(0, 4, 0x1800);
    EXPECT_EQ(static_cast<uint32_t>(ports.read(4, 4)), ~0u) << "not enabled";
}

}  // namespace
}  // namespace mynah
