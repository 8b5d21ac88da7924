#include "device/usb/uhci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "device/usb/uhci_driver_test.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/usb_storage.h"
#include "testing/memory_disk.h"

namespace mynah::testing {
namespace {

using namespace uhci;

struct UhciTest : ::testing::Test {
    UhciTest() {
        for (uint64_t i = 0; i < disk.bytes().size(); ++i)
            disk.bytes()[i] = std::byte{disk_byte(i)};
    }
    ~UhciTest() override {
        adapter.unplug(storage);
        adapter.unplug(tablet);
        adapter.unplug(keyboard);
    }
    UsbBoard board;
    Uhci chip{board.dma, board.clock};
    MemoryDisk disk{1 << 20};
    UsbStorage storage{disk, {}};
    UsbTablet tablet{board.clock};
    UsbKeyboard keyboard{board.clock, nullptr};
    UsbHostAdapter adapter{board.clock};
    IoHandler& registers = adapter.add(chip, board.interrupts);
    UhciDriver driver{registers, board, 0x100000};
    UhciDriver second{registers, board, 0x100000};
};

TEST_F(UhciTest, FrameNumberRunsWithTheClock) {
    driver.start();
    board.clock.advance(1'500'000'000);
    EXPECT_EQ(driver.read(kFrameNumber), 1500);
    EXPECT_EQ(board.clock.armed(), 0u);  // nobody is there to be polled for
    driver.write(kUsbCommand, 0);
    board.clock.advance(10'000'000);
    EXPECT_EQ(driver.read(kFrameNumber), 1500);
    EXPECT_EQ(registers.read(kStartOfFrame, 1), 0x40u);
    EXPECT_EQ(driver.read(kPorts) & kPortAlwaysOne, kPortAlwaysOne);
    EXPECT_EQ(driver.read(kPorts + 4) & kPortAlwaysOne, 0);
}

TEST_F(UhciTest, StorageAtFullSpeed) {
    EXPECT_TRUE(adapter.plug(storage, 1).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(1, 5));
    const Bytes whole = driver.configure();
    ASSERT_EQ(endpoints_of(whole).size(), 2u);
    EXPECT_EQ(endpoints_of(whole)[0].packet, 64);
    EXPECT_EQ(driver.descriptor(usb::kDescriptorDeviceQualifier, 0, 10).size(), 10u);
    BulkOnlyGuest bot(driver);
    const auto read = bot.read10(2, 40);
    EXPECT_TRUE(read.passed());
    ASSERT_EQ(read.data.size(), 40u * 512);
    for (unsigned i = 0; i < read.data.size(); ++i) ASSERT_EQ(read.data[i], disk_byte(1024 + i));
    Bytes fresh(9 * 512, 0xa5);
    EXPECT_TRUE(bot.write10(100, fresh).passed());
    EXPECT_EQ(disk.bytes()[108 * 512 + 511], std::byte{0xa5});
    EXPECT_EQ(disk.bytes()[109 * 512], std::byte{disk_byte(109 * 512)});
    // A command that fails, with its stall.
    EXPECT_EQ(bot.read10(4000, 2).status, usb::storage::kStatusFailed);
    EXPECT_TRUE(bot.read10(0, 1).passed());
}

TEST_F(UhciTest, TwoDevicesAndHotplug) {
    EXPECT_TRUE(adapter.plug(tablet, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    driver.configure();
    EXPECT_TRUE(adapter.plug(keyboard, 1).ok());
    EXPECT_EQ(driver.read(kPorts + 2) & (kConnected | kConnectChange), kConnected | kConnectChange);
    ASSERT_TRUE(second.address_device(1, 2));
    second.configure();
    EXPECT_EQ(driver.in(0x81, 7).status, GuestStatus::kPending);
    const HidEvent press[] = {{HidEvent::Kind::kKey, BTN_RIGHT, 1}};
    tablet.events(press);
    EXPECT_EQ(driver.in(0x81, 7).data, (Bytes{2, 0, 0, 0, 0, 0, 0}));
    const HidEvent key[] = {{HidEvent::Kind::kKey, KEY_LEFTSHIFT, 1}};
    keyboard.events(key);
    EXPECT_EQ(second.in(0x81, 8).data, (Bytes{2, 0, 0, 0, 0, 0, 0, 0}));
    adapter.unplug(keyboard);
    EXPECT_EQ(second.in(0x81, 8).status, GuestStatus::kError);
    EXPECT_EQ(driver.read(kPorts + 2) & (kConnected | kConnectChange | kPortEnabled),
              kConnectChange);
}

TEST_F(UhciTest, InterruptsWhenEnabled) {
    EXPECT_TRUE(adapter.plug(tablet, 0).ok());
    driver.start();
    const unsigned before = board.interrupts.rises;
    ASSERT_TRUE(driver.address_device(0, 1));
    EXPECT_GT(board.interrupts.rises, before);
    EXPECT_FALSE(board.interrupts.level());  // the driver acknowledged it
}

TEST_F(UhciTest, WakeupOfASuspendedPort) {
    EXPECT_TRUE(adapter.plug(tablet, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    driver.configure();
    EXPECT_TRUE(driver.control({0, usb::kSetFeature, usb::kFeatureRemoteWakeup, 0, 0}).ok());
    driver.write(kPorts, kPortEnabled | kPortSuspend);
    const HidEvent press[] = {{HidEvent::Kind::kKey, BTN_LEFT, 1}};
    tablet.events(press);
    EXPECT_NE(driver.read(kPorts) & kPortResume, 0);
    EXPECT_NE(driver.read(kUsbStatus) & kResumeDetect, 0);
    EXPECT_TRUE(board.interrupts.level());
    driver.write(kPorts, kPortEnabled);
    EXPECT_EQ(driver.read(kPorts) & (kPortResume | kPortSuspend), 0);
    EXPECT_EQ(driver.in(0x81, 7).data.at(0), 1);
}

TEST_F(UhciTest, NonsenseInTheScheduleHaltsTheController) {
    EXPECT_TRUE(adapter.plug(tablet, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    // The frame list nowhere.
    registers.write(kFrameListBase, 4, 0xf0000000);
    board.clock.advance(10'000'000);
    EXPECT_EQ(driver.read(kUsbStatus) & (kHalted | kSystemError), kHalted | kSystemError);
    EXPECT_EQ(board.clock.armed(), 0u);
}

TEST_F(UhciTest, ListsThatLeadIntoThemselvesEndAFrame) {
    EXPECT_TRUE(adapter.plug(tablet, 0).ok());
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 1));
    // A transfer descriptor that is its own successor, and a queue whose element is itself.
    constexpr uint64_t kList = 0x400000, kPlace = 0x402000;
    for (unsigned i = 0; i < 1024; ++i) {
        const uint32_t entry = i % 2 == 0 ? uint32_t{kPlace} : uint32_t{kPlace + 64} | kQueue;
        EXPECT_TRUE(board.memory->store(GuestPhys(kList + 4 * i), entry));
    }
    TransferDescriptor td{kPlace, kActive, TokenPid::with(0, kPidIn), 0x500000};
    EXPECT_TRUE(board.memory->store(GuestPhys(kPlace), td));
    const QueueHead queue{uint32_t{kPlace + 64} | kQueue, uint32_t{kPlace + 64} | kQueue};
    EXPECT_TRUE(board.memory->store(GuestPhys(kPlace + 64), queue));
    registers.write(kFrameListBase, 4, kList);
    board.clock.advance(100'000'000);
    EXPECT_EQ(driver.read(kUsbStatus) & kHalted, 0);
}

}  // namespace
}  // namespace mynah::testing
