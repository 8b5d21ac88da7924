#include "device/usb/xhci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "device/usb/usb_board_test.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/usb_storage.h"
#include "device/usb/xhci_driver_test.h"
#include "testing/memory_disk.h"

namespace mynah::testing {
namespace {

using namespace usb::xhci;
using namespace xhci_registers;

struct XhciTest : ::testing::Test {
    XhciTest() {
        for (uint64_t i = 0; i < disk.bytes().size(); ++i)
            disk.bytes()[i] = std::byte{disk_byte(i)};
    }
    ~XhciTest() override {
        adapter.unplug(storage);
        adapter.unplug(tablet);
        adapter.unplug(keyboard);
    }
    XhciPipes address(unsigned port, uint32_t cut = 65536) {
        const auto slot = driver.address_device(port);
        EXPECT_TRUE(slot.has_value());
        return {driver, slot.value_or(1), cut};
    }

    UsbBoard board;
    Xhci chip{board.dma, board.clock};
    MemoryDisk disk{1 << 20};
    UsbStorage storage{disk, {.product = "USB Disk"}};
    UsbTablet tablet{board.clock};
    UsbKeyboard keyboard{board.clock, nullptr};
    UsbHostAdapter adapter{board.clock};
    IoHandler& registers = adapter.add(chip, board.interrupts);
    XhciDriver driver{registers, *board.memory};
};

TEST_F(XhciTest, CapabilitiesDescribeWhatIsThere) {
    EXPECT_EQ(registers.read(0, 1), kOperational);
    EXPECT_EQ(registers.read(2, 2), 0x0110u);
    EXPECT_EQ(driver.read(kHcsParams1) >> 24, Xhci::kPortCount);
    // The protocols cover all ports, each once.
    uint64_t at = (driver.read(kHccParams1) >> 16) * 4;
    std::vector<int> seen(Xhci::kPortCount);
    for (;;) {
        const uint32_t head = static_cast<uint32_t>(registers.read(at, 4));
        EXPECT_EQ(head & 0xff, 2u);
        const uint32_t ports = static_cast<uint32_t>(registers.read(at + 8, 4));
        for (uint32_t i = 0; i < (ports >> 8 & 0xff); ++i) ++seen[(ports & 0xff) - 1 + i];
        if ((head >> 8 & 0xff) == 0) break;
        at += (head >> 8 & 0xff) * 4;
    }
    EXPECT_EQ(seen, std::vector<int>(Xhci::kPortCount, 1));
    EXPECT_EQ(driver.read(0xff00), 0u);
}

TEST_F(XhciTest, NoOpCommandsWrapTheirRings) {
    driver.start(3, 16);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(driver.command(kNoOpCommand).code, kSuccess);
    EXPECT_EQ(driver.command(kNoOp).code, kTrbError);
}

TEST_F(XhciTest, StorageAtSuperSpeed) {
    EXPECT_EQ(adapter.plug(storage).value(), 4u);
    driver.start();
    XhciPipes pipes = address(4);
    const Bytes whole = pipes.configure();
    EXPECT_EQ(endpoints_of(whole).size(), 2u);
    EXPECT_EQ(endpoints_of(whole)[0].packet, 1024);
    EXPECT_EQ(endpoints_of(whole)[0].burst, 15);
    EXPECT_EQ(usb_string(pipes.descriptor(3, 2, 255)), "USB Disk");
    EXPECT_EQ(pipes.descriptor(usb::kDescriptorBos, 0, 255).size(), 22u);
    BulkOnlyGuest bot(pipes);
    const auto read = bot.read10(3, 5);
    EXPECT_TRUE(read.passed());
    ASSERT_EQ(read.data.size(), 5u * 512);
    for (unsigned i = 0; i < read.data.size(); ++i) ASSERT_EQ(read.data[i], disk_byte(3 * 512 + i));
}

TEST_F(XhciTest, StorageAtHighSpeedScatteredOverManyTrbs) {
    EXPECT_EQ(adapter.plug(storage, 1).value(), 1u);
    driver.start();
    XhciPipes pipes = address(1, 30000);  // at most 14 TRBs a TD
    pipes.configure();
    BulkOnlyGuest bot(pipes);
    // More than the device's buffer.
    const auto read = bot.read10(0, 800);
    EXPECT_TRUE(read.passed());
    ASSERT_EQ(read.data.size(), 800u * 512);
    for (unsigned i = 0; i < read.data.size(); ++i) ASSERT_EQ(read.data[i], disk_byte(i));
    Bytes fresh(700 * 512);
    for (unsigned i = 0; i < fresh.size(); ++i) fresh[i] = static_cast<uint8_t>(i / 3);
    EXPECT_TRUE(bot.write10(100, fresh).passed());
    for (unsigned i = 0; i < fresh.size(); ++i) {
        ASSERT_EQ(static_cast<uint8_t>(disk.bytes()[100 * 512 + i]), fresh[i]);
    }
    // Past the end, with a halted endpoint on the way.
    EXPECT_EQ(bot.read10(2048, 1).status, usb::storage::kStatusFailed);
    EXPECT_TRUE(bot.read10(2047, 1).passed());
}

TEST_F(XhciTest, ASlowDiskCompletesLater) {
    EXPECT_TRUE(adapter.plug(storage, 4).ok());
    driver.start();
    XhciPipes pipes = address(4);
    pipes.configure();
    disk.hold(true);
    usb::storage::CommandWrapper wrapper{};
    wrapper.signature = usb::storage::kCommandSignature;
    wrapper.length = 512;
    wrapper.flags = 0x80;
    wrapper.command_length = 10;
    const Bytes command = BulkOnlyGuest::ten(0x28, 9, 1);
    std::copy(command.begin(), command.end(), wrapper.command);
    Bytes bytes(sizeof wrapper);
    std::memcpy(bytes.data(), &wrapper, sizeof wrapper);
    EXPECT_TRUE(pipes.out(2, bytes).ok());
    const uint64_t buffer = driver.take(4096);
    EXPECT_EQ(driver.transfer(pipes.slot(), 3, buffer, 512).code, 0);
    EXPECT_EQ(disk.held(), 1u);
    disk.release_one();
    EXPECT_EQ(driver.wait_transfer(pipes.slot(), 3).code, kSuccess);
    EXPECT_EQ(board.memory->load<uint8_t>(GuestPhys(buffer + 1)), disk_byte(9 * 512 + 1));
    // Unplugged with a request at the disk: the transfer fails, the request comes back to nobody.
    EXPECT_EQ(driver.transfer(pipes.slot(), 3, buffer, 13).code, kSuccess);
    EXPECT_TRUE(pipes.out(2, bytes).ok());
    adapter.unplug(storage);
    disk.release_all();
    EXPECT_EQ(driver.transfer(pipes.slot(), 3, buffer, 512).code, kTransactionError);
    EXPECT_GT(driver.port_changes, 0u);
}

TEST_F(XhciTest, TabletReportsWhenThereIsSomethingToReport) {
    EXPECT_EQ(adapter.plug(tablet).value(), 0u);
    driver.start();
    XhciPipes pipes = address(0);
    pipes.configure();
    const uint64_t buffer = driver.take(64);
    EXPECT_EQ(driver.transfer(pipes.slot(), 3, buffer, 7).code, 0);
    const HidEvent moves[] = {{HidEvent::Kind::kAbsolute, ABS_X, 0x1234},
                              {HidEvent::Kind::kAbsolute, ABS_Y, 0x4321},
                              {HidEvent::Kind::kKey, BTN_LEFT, 1}};
    tablet.events(moves);
    EXPECT_EQ(driver.wait_transfer(pipes.slot(), 3).code, kSuccess);
    Bytes report(7);
    EXPECT_TRUE(board.memory->read(GuestPhys(buffer), std::as_writable_bytes(std::span(report))));
    EXPECT_EQ(report, (Bytes{1, 0x34, 0x12, 0x21, 0x43, 0, 0}));
}

TEST_F(XhciTest, StopReportsTheTransferThatWaits) {
    EXPECT_TRUE(adapter.plug(keyboard).ok());
    driver.start();
    XhciPipes pipes = address(0);
    pipes.configure();
    const uint64_t buffer = driver.take(64);
    EXPECT_EQ(driver.transfer(pipes.slot(), 3, buffer, 8).code, 0);
    const uint64_t first = driver.ring(pipes.slot(), 3).base;
    EXPECT_EQ(driver.endpoint_state(pipes.slot(), 3), uint32_t{kEndpointRunning});
    Trb stop{0, 0, 0};
    stop.control =
        TrbSlot::with(TrbEndpoint::with(TrbType::with(0, kStopEndpoint), 3), pipes.slot());
    driver.put(driver.command_ring(), stop);
    driver.write(kDoorbells, 0);
    const auto events = driver.events();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(EventCode::get(events[0].status), uint32_t{kStopped});
    EXPECT_EQ(EventLength::get(events[0].status), 8u);
    EXPECT_EQ(events[0].parameter, first);
    EXPECT_EQ(EventCode::get(events[1].status), uint32_t{kSuccess});
    EXPECT_EQ(driver.endpoint_state(pipes.slot(), 3), uint32_t{kEndpointStopped});
    // A stopped endpoint takes nothing; the doorbell makes it go on.
    const HidEvent key[] = {{HidEvent::Kind::kKey, KEY_A, 1}};
    keyboard.events(key);
    EXPECT_EQ(driver.events().size(), 0u);
    driver.doorbell(pipes.slot(), 3);
    EXPECT_EQ(driver.wait_transfer(pipes.slot(), 3).code, kSuccess);
    EXPECT_EQ(board.memory->load<uint8_t>(GuestPhys(buffer + 2)), 4);
}

TEST_F(XhciTest, StallHaltsUntilReset) {
    EXPECT_TRUE(adapter.plug(keyboard).ok());
    driver.start();
    XhciPipes pipes = address(0);
    // No such descriptor; the driver recovers the endpoint inside.
    EXPECT_EQ(pipes.control({0x80, 6, 0x4200, 0, 16}).status, GuestStatus::kStall);
    EXPECT_EQ(pipes.descriptor(1, 0, 18).size(), 18u);
    EXPECT_EQ(driver.command(kResetEndpoint, 0, pipes.slot(), 1).code, kContextStateError);
    EXPECT_EQ(driver.command(kSetTrDequeue, 0x1000, pipes.slot(), 1).code, kContextStateError);
    EXPECT_EQ(driver.command(kStopEndpoint, 0, pipes.slot(), 5).code, kEndpointNotEnabled);
    EXPECT_EQ(driver.command(kStopEndpoint, 0, 30, 1).code, kSlotNotEnabled);
}

TEST_F(XhciTest, EventDataCarriesWhatWasMoved) {
    EXPECT_TRUE(adapter.plug(storage, 4).ok());
    driver.start();
    XhciPipes pipes = address(4);
    pipes.configure();
    BulkOnlyGuest bot(pipes);
    const uint64_t buffer = driver.take(4096);
    // A control transfer with an event data TRB behind its data stage.
    const uint8_t slot = pipes.slot();
    auto& ring = driver.ring(slot, 1);
    const usb::Setup setup{0x80, 6, 0x0100, 0, 64};
    driver.put(ring,
               {std::bit_cast<uint64_t>(setup), 8, TrbType::with(kImmediateData, kSetupStage)});
    driver.put(ring, {buffer, 64, TrbType::with(kDirectionIn | kChain, kDataStage)});
    driver.put(ring, {0xabcd, 0, TrbType::with(kInterruptOnCompletion, kEventDataTrb)});
    driver.put(ring, {0, 0, TrbType::with(kInterruptOnCompletion, kStatusStage)});
    driver.doorbell(slot, 1);
    const auto events = driver.events();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].parameter, 0xabcdu);
    EXPECT_EQ(events[0].control & kEventData, kEventData);
    EXPECT_EQ(EventCode::get(events[0].status), uint32_t{kShortPacket});
    EXPECT_EQ(EventLength::get(events[0].status), 18u);
    EXPECT_EQ(EventCode::get(events[1].status), uint32_t{kSuccess});
}

TEST_F(XhciTest, InterruptsByLineAndByMessage) {
    driver.start();
    driver.put(driver.command_ring(), {0, 0, TrbType::with(0, kNoOpCommand)});
    driver.write(kDoorbells, 0);
    EXPECT_TRUE(board.interrupts.level());
    EXPECT_EQ(driver.operational(kUsbStatus) & kEventInterrupt, kEventInterrupt);
    driver.events();
    EXPECT_FALSE(board.interrupts.level());
    board.interrupts.messages_on = true;
    driver.put(driver.command_ring(), {0, 0, TrbType::with(0, kNoOpCommand)});
    driver.write(kDoorbells, 0);
    EXPECT_EQ(board.interrupts.sent, std::vector<unsigned>{0});
    EXPECT_FALSE(board.interrupts.level());
    // While the handler is busy nothing more is sent; when it leaves with something unread, it is.
    driver.put(driver.command_ring(), {0, 0, TrbType::with(0, kNoOpCommand)});
    driver.write(kDoorbells, 0);
    EXPECT_EQ(board.interrupts.sent.size(), 1u);
    driver.next_event();
    EXPECT_EQ(board.interrupts.sent.size(), 2u);
    driver.next_event();
    EXPECT_EQ(board.interrupts.sent.size(), 2u);
}

TEST_F(XhciTest, AFullEventRingHoldsWorkBack) {
    driver.start();
    for (int i = 0; i < 14; ++i)
        driver.put(driver.command_ring(), {0, 0, TrbType::with(0, kNoOpCommand)});
    driver.write(kDoorbells, 0);
    unsigned seen = 0;
    for (int i = 0; i < 10; ++i) seen += driver.next_event(false) ? 1 : 0;
    EXPECT_EQ(seen, 10u);
    for (int i = 0; i < 14; ++i)
        driver.put(driver.command_ring(), {0, 0, TrbType::with(0, kNoOpCommand)});
    driver.write(kDoorbells, 0);
    driver.acknowledge_events();
    seen += static_cast<unsigned>(driver.events().size());
    EXPECT_EQ(seen, 28u);
}

TEST_F(XhciTest, HotplugIsReported) {
    driver.start();
    EXPECT_EQ(driver.port_status(0) & kConnected, 0u);
    EXPECT_TRUE(adapter.plug(tablet, 0).ok());
    auto events = driver.events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(TrbType::get(events[0].control), uint32_t{kPortStatusChange});
    EXPECT_EQ(events[0].parameter >> 24, 1u);
    EXPECT_EQ(driver.port_status(0) & (kConnected | kConnectChange), kConnected | kConnectChange);
    EXPECT_EQ(driver.operational(kUsbStatus) & kPortChange, kPortChange);
    driver.write_port(0, kPortPower | kConnectChange);
    EXPECT_EQ(driver.port_status(0) & kConnectChange, 0u);
    adapter.unplug(tablet);
    EXPECT_EQ(driver.events().size(), 1u);
    EXPECT_EQ(driver.port_status(0) & (kConnected | kConnectChange), kConnectChange);
    EXPECT_FALSE(adapter.plug(tablet, 9).ok());
    EXPECT_FALSE(adapter.plug(tablet, 4).ok());  // not a USB 3 device
}

TEST_F(XhciTest, SuspendAndRemoteWakeup) {
    EXPECT_TRUE(adapter.plug(keyboard, 0).ok());
    driver.start();
    XhciPipes pipes = address(0);
    pipes.configure();
    EXPECT_TRUE(pipes.control({0, usb::kSetFeature, usb::kFeatureRemoteWakeup, 0, 0}).ok());
    driver.write_port(0, kPortPower | kLinkWriteStrobe | PortLink::with(0, kLinkU3));
    EXPECT_EQ(PortLink::get(driver.port_status(0)), uint32_t{kLinkU3});
    const HidEvent key[] = {{HidEvent::Kind::kKey, KEY_A, 1}};
    keyboard.events(key);
    EXPECT_EQ(PortLink::get(driver.port_status(0)), uint32_t{kLinkResume});
    EXPECT_EQ(driver.events().size(), 1u);
    driver.write_port(0, kPortPower | kLinkChange);
    driver.write_port(0, kPortPower | kLinkWriteStrobe | PortLink::with(0, kLinkU0));
    EXPECT_EQ(PortLink::get(driver.port_status(0)), uint32_t{kLinkU0});
    EXPECT_EQ(driver.events().size(), 1u);
}

TEST_F(XhciTest, EndlessRingsAreServedPieceByPiece) {
    EXPECT_TRUE(adapter.plug(keyboard, 0).ok());
    driver.start();
    XhciPipes pipes = address(0);
    pipes.configure();
    // A transfer ring of no-operations that leads back to itself.
    const uint64_t ring = driver.take(64);
    EXPECT_EQ(driver.command(kStopEndpoint, 0, pipes.slot(), 3).code, kSuccess);
    EXPECT_TRUE(board.memory->store(GuestPhys(ring), Trb{0, 0, TrbType::with(kCycle, kNoOp)}));
    EXPECT_TRUE(
        board.memory->store(GuestPhys(ring + 16), Trb{ring, 0, TrbType::with(kCycle, kLink)}));
    EXPECT_EQ(driver.command(kSetTrDequeue, ring | 1, pipes.slot(), 3).code, kSuccess);
    driver.doorbell(pipes.slot(), 3);
    EXPECT_EQ(board.clock.armed(), 1u);
    board.clock.advance(1'000'000);
    EXPECT_EQ(board.clock.armed(), 1u);
    EXPECT_EQ(driver.command(kStopEndpoint, 0, pipes.slot(), 3).code, kSuccess);
    board.clock.advance(1'000'000);
    EXPECT_EQ(board.clock.armed(), 0u);
    // A ring of links only, and one that is nowhere.
    EXPECT_TRUE(board.memory->store(GuestPhys(ring), Trb{ring, 0, TrbType::with(kCycle, kLink)}));
    EXPECT_EQ(driver.command(kSetTrDequeue, ring | 1, pipes.slot(), 3).code, kSuccess);
    driver.doorbell(pipes.slot(), 3);
    EXPECT_EQ(driver.endpoint_state(pipes.slot(), 3), uint32_t{kEndpointError});
    EXPECT_EQ(driver.command(kSetTrDequeue, uint64_t{1} << 40 | 1, pipes.slot(), 3).code, kSuccess);
    driver.doorbell(pipes.slot(), 3);
    EXPECT_EQ(driver.endpoint_state(pipes.slot(), 3), uint32_t{kEndpointError});
    EXPECT_EQ(driver.operational(kUsbStatus) & kHostSystemError, 0u);
}

TEST_F(XhciTest, ACommandRingThatIsNowhereIsAHostError) {
    driver.start();
    driver.write(kOperational + kUsbCommand, 0);
    driver.write(kOperational + kUsbCommand, kRun);
    driver.write64(kOperational + kCommandRing, uint64_t{1} << 40);
    driver.write(kDoorbells, 0);
    EXPECT_EQ(driver.operational(kUsbStatus) & (kHostSystemError | kHalted),
              kHostSystemError | kHalted);
}

TEST_F(XhciTest, SlotsRunOutAndComeBack) {
    driver.start();
    for (unsigned i = 1; i <= Xhci::kSlots; ++i) EXPECT_EQ(driver.command(kEnableSlot).slot, i);
    EXPECT_EQ(driver.command(kEnableSlot).code, kNoSlotsAvailable);
    EXPECT_EQ(driver.command(kDisableSlot, 0, 7).code, kSuccess);
    EXPECT_EQ(driver.command(kDisableSlot, 0, 7).code, kSlotNotEnabled);
    EXPECT_EQ(driver.command(kEnableSlot).slot, 7);
    // Nobody is in port 1; a device nobody addressed has no endpoints to configure.
    EXPECT_EQ(driver.command(kConfigureEndpoint, 0x1000, 7).code, kContextStateError);
}

TEST_F(XhciTest, ResetDeviceForgetsEndpoints) {
    EXPECT_TRUE(adapter.plug(keyboard, 0).ok());
    driver.start();
    XhciPipes pipes = address(0);
    pipes.configure();
    EXPECT_EQ(driver.command(kResetDevice, 0, pipes.slot()).code, kSuccess);
    EXPECT_EQ(driver.endpoint_state(pipes.slot(), 3), uint32_t{kEndpointDisabled});
    EXPECT_EQ(driver.command(kStopEndpoint, 0, pipes.slot(), 3).code, kEndpointNotEnabled);
    EXPECT_EQ(driver.command(kResetDevice, 0, pipes.slot()).code, kContextStateError);
}

}  // namespace
}  // namespace mynah::testing
