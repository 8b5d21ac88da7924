#include "device/usb/ehci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "device/usb/ehci_driver_test.h"
#include "device/usb/uhci_driver_test.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/usb_storage.h"
#include "testing/memory_disk.h"

namespace mynah::testing {
namespace {

using namespace ehci;

struct EhciTest : ::testing::Test {
    EhciTest() {
        for (uint64_t i = 0; i < disk.bytes().size(); ++i)
            disk.bytes()[i] = std::byte{disk_byte(i)};
    }
    ~EhciTest() override {
        adapter.unplug(storage);
        adapter.unplug(tablet);
        adapter.unplug(keyboard);
    }
    UsbBoard board;
    Uhci uhci[3] = {{board.dma, board.clock}, {board.dma, board.clock}, {board.dma, board.clock}};
    std::array<Uhci*, 3> companions{&uhci[0], &uhci[1], &uhci[2]};
    Ehci chip{board.dma, board.clock, companions};
    RecordingUsbInterrupts uhci_interrupts[3];
    MemoryDisk disk{1 << 20};
    UsbStorage storage{disk, {}};
    UsbTablet tablet{board.clock};
    UsbKeyboard keyboard{board.clock, nullptr};
    UsbHostAdapter adapter{board.clock};
    IoHandler& registers = adapter.add(chip, board.interrupts);
    IoHandler& uhci0 = adapter.add(uhci[0], uhci_interrupts[0]);
    IoHandler& uhci1 = adapter.add(uhci[1], uhci_interrupts[1]);
    IoHandler& uhci2 = adapter.add(uhci[2], uhci_interrupts[2]);
    EhciDriver driver{registers, board, 0x100000};
    UhciDriver companion{uhci1, board, 0x300000};
};

TEST_F(EhciTest, CapabilitiesDescribeThePorts) {
    EXPECT_EQ(registers.read(0, 1), kOperational);
    EXPECT_EQ(registers.read(2, 2), 0x0100u);
    EXPECT_EQ(registers.read(kHcsParams, 4), 0x3206u);
    EXPECT_EQ(registers.read(kHccParams, 4), 0x6800u);
}

TEST_F(EhciTest, FrameIndexRunsWithTheClock) {
    driver.start();
    board.clock.advance(20'000'000);
    EXPECT_EQ(driver.read(kFrameIndex), 160u);
    EXPECT_EQ(board.clock.armed(), 0u);
    driver.write(kUsbCommand, 0);
    EXPECT_EQ(driver.read(kUsbStatus) & (kHalted | kAsyncStatus | kPeriodicStatus), kHalted);
    EXPECT_EQ(driver.read(kUsbStatus) & kAsyncAdvance, 0u);
    driver.write(kUsbCommand, kRun | kAsyncEnable);
    driver.write(kUsbCommand, kRun | kAsyncEnable | kAsyncDoorbell);
    EXPECT_EQ(driver.read(kUsbStatus) & kAsyncAdvance, kAsyncAdvance);
    EXPECT_TRUE(board.interrupts.level());
    EXPECT_EQ(driver.read(kUsbCommand) & kAsyncDoorbell, 0u);
}

TEST_F(EhciTest, StorageAtHighSpeed) {
    EXPECT_TRUE(adapter.plug(storage, 3).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(3, 9));
    const Bytes whole = driver.configure();
    ASSERT_EQ(endpoints_of(whole).size(), 2u);
    EXPECT_EQ(endpoints_of(whole)[0].packet, 512);
    BulkOnlyGuest bot(driver);
    // Several transfers, and several chunks of the device.
    const auto read = bot.read10(1, 600);
    EXPECT_TRUE(read.passed());
    ASSERT_EQ(read.data.size(), 600u * 512);
    for (unsigned i = 0; i < read.data.size(); ++i) ASSERT_EQ(read.data[i], disk_byte(512 + i));
    Bytes fresh(500 * 512);
    for (unsigned i = 0; i < fresh.size(); ++i) fresh[i] = static_cast<uint8_t>(i / 5);
    EXPECT_TRUE(bot.write10(7, fresh).passed());
    for (unsigned i = 0; i < fresh.size(); ++i) {
        ASSERT_EQ(static_cast<uint8_t>(disk.bytes()[7 * 512 + i]), fresh[i]);
    }
    EXPECT_EQ(bot.read10(4000, 2).status, usb::storage::kStatusFailed);
    EXPECT_TRUE(bot.read10(0, 1).passed());
    adapter.unplug(storage);
    EXPECT_EQ(driver.in(0x81, 13).status, GuestStatus::kPending);  // nothing is polled any more
    EXPECT_EQ(driver.port(3) & (kConnected | kPortEnabled | kEnableChange), kEnableChange);
}

TEST_F(EhciTest, FullSpeedDevicesGoToTheCompanion) {
    EXPECT_TRUE(adapter.plug(tablet, 2).ok());
    driver.start();
    EXPECT_EQ(uhci0.read(0x10, 2) & 1, 0u);
    EXPECT_EQ(driver.port(2) & (kConnected | kPortOwner), kConnected);
    EXPECT_FALSE(driver.address_device(2, 1));
    EXPECT_EQ(driver.port(2) & (kConnected | kPortOwner), kPortOwner);
    companion.start();
    ASSERT_TRUE(companion.address_device(0, 4));
    companion.configure();
    EXPECT_EQ(companion.in(0x81, 7).status, GuestStatus::kPending);
    const HidEvent press[] = {{HidEvent::Kind::kKey, BTN_LEFT, 1}};
    tablet.events(press);
    EXPECT_EQ(companion.in(0x81, 7).data.at(0), 1);
    // Unplugged, the port is the EHCI's again.
    adapter.unplug(tablet);
    EXPECT_EQ(driver.port(2) & kPortOwner, 0u);
    EXPECT_TRUE(adapter.plug(tablet, 2).ok());
    EXPECT_EQ(driver.port(2) & (kConnected | kConnectChange), kConnected | kConnectChange);
}

TEST_F(EhciTest, UnconfiguredAllPortsAreTheCompanions) {
    EXPECT_TRUE(adapter.plug(storage, 2).ok());
    companion.start();
    ASSERT_TRUE(companion.address_device(0, 4));
    EXPECT_EQ(endpoints_of(companion.configure())[0].packet, 64);
    // The driver of the EHCI takes it away, the guest's loss.
    driver.start();
    EXPECT_EQ(uhci1.read(0x10, 2) & 1, 0u);
    ASSERT_TRUE(driver.address_device(2, 1));
    EXPECT_EQ(endpoints_of(driver.configure())[0].packet, 512);
    // And back by a reset of the controller.
    driver.write(kUsbCommand, kHostReset);
    EXPECT_EQ(uhci1.read(0x10, 2) & 1, 1u);
}

TEST_F(EhciTest, ThePeriodicScheduleIsFollowed) {
    EXPECT_TRUE(adapter.plug(storage, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    // A control request by a queue in one of 256 frames: found whenever its frame comes.
    QueueHead head{};
    constexpr uint64_t kQueue = 0x500000, kTransfer = 0x500080;
    head.horizontal = kTerminate;
    head.characteristics = QueueSpeed::with(QueueAddress::with(0, 1), kHighSpeed);
    head.overlay.next = kTransfer;
    head.overlay.alternate = kTerminate;
    EXPECT_TRUE(board.memory->store(GuestPhys(kQueue), head));
    Transfer setup{};
    setup.next = setup.alternate = kTerminate;
    setup.token = TokenBytes::with(TokenPid::with(kActive | kOnCompletion, kPidSetup), 8);
    setup.buffers[0] = 0x501000;
    EXPECT_TRUE(board.memory->store(GuestPhys(kTransfer), setup));
    EXPECT_TRUE(board.memory->store(GuestPhys(0x501000), usb::Setup{0x80, 6, 0x100, 0, 8}));
    for (unsigned i = 77; i < 1024; i += 256) {
        EXPECT_TRUE(board.memory->store(GuestPhys(0x100000 + 4 * i), uint32_t{kQueue} | 2));
    }
    board.clock.advance(300'000'000);
    const auto token = board.memory->load<uint32_t>(GuestPhys(kTransfer + 8)).value();
    EXPECT_EQ(token & (kActive | kQueueHalted), 0u);
    EXPECT_NE(driver.read(kUsbStatus) & kInterrupt, 0u);
}

TEST_F(EhciTest, NonsenseInTheScheduleHaltsTheController) {
    EXPECT_TRUE(adapter.plug(storage, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    driver.write(kAsyncAddress, 0xf0000000);
    board.clock.advance(10'000'000);
    EXPECT_EQ(driver.read(kUsbStatus) & (kHalted | kSystemError), kHalted | kSystemError);
    EXPECT_EQ(board.clock.armed(), 0u);
}

TEST_F(EhciTest, SuspendAndRemoteWakeup) {
    // A high-speed device that wakes its host does not exist here; the port does its part.
    EXPECT_TRUE(adapter.plug(storage, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    driver.write_port(0, kPortPower | kPortEnabled | kSuspend);
    EXPECT_NE(driver.port(0) & kSuspend, 0u);
    driver.write_port(0, kPortPower | kPortEnabled | kSuspend | kForceResume);
    EXPECT_NE(driver.port(0) & kForceResume, 0u);
    driver.write_port(0, kPortPower | kPortEnabled | kSuspend);
    EXPECT_EQ(driver.port(0) & (kForceResume | kSuspend), 0u);
    EXPECT_EQ(driver.descriptor(1, 0, 18).size(), 18u);
}

}  // namespace
}  // namespace mynah::testing
