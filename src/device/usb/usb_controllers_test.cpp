// The controllers as PCI functions: configuration space, BARs, messages.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/usb/ehci_controller.h"
#include "device/usb/uhci_driver_test.h"
#include "device/usb/usb_board_test.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/xhci_controller.h"
#include "device/usb/xhci_driver_test.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"

namespace mynah::testing {
namespace {

using namespace usb::xhci;
using namespace xhci_registers;

// A window of an address space as a handler of its own.
class SpaceWindow final : public IoHandler {
  public:
    SpaceWindow(IoSpace& space, uint64_t base) : space_(space), base_(base) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        return space_.read(base_ + offset, size);
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        space_.write(base_ + offset, size, value);
    }

  private:
    IoSpace& space_;
    uint64_t base_;
};

struct PciBoard : UsbBoard {
    IoSpace ports, space;
    RecordingLine line, lines[3];
    RecordingMsiSink msi;
    PciAttachment attachment(InterruptLine& intx) { return {ports, space, *memory, intx, msi}; }
};

constexpr uint64_t kBase = 0xfe000000;

TEST(XhciController, WorksThroughItsBar) {
    PciBoard board;
    XhciController controller(board.attachment(board.line), board.clock);
    PciFunction& function = controller.function();
    EXPECT_EQ(function.config_read(0, 4), 0x1e318086u);
    EXPECT_EQ(function.config_read(8, 4) >> 8, 0x0c0330u);
    EXPECT_EQ(function.config_read(0x60, 1), 0x30u);
    function.config_write(0x10, 4, kBase);
    function.config_write(4, 2, 6);
    SpaceWindow window(board.space, kBase);
    XhciDriver driver(window, *board.memory);
    driver.start();
    EXPECT_EQ(driver.command(kNoOpCommand).code, kSuccess);
    EXPECT_GT(board.line.rises(), 0u);
    UsbTablet tablet(board.clock);
    EXPECT_TRUE(controller.usb().plug(tablet).ok());
    EXPECT_TRUE(driver.address_device(0).has_value());
    controller.reset();
    EXPECT_EQ(function.command(), 0);
    controller.usb().unplug(tablet);
}

TEST(XhciController, SendsMessages) {
    PciBoard board;
    XhciController controller(board.attachment(board.line), board.clock);
    PciFunction& function = controller.function();
    function.config_write(0x10, 4, kBase);
    function.config_write(4, 2, 6);
    // MSI-X: find it, set vector 0 up, enable.
    unsigned at = function.config_read(0x34, 1);
    while (at != 0 && function.config_read(at, 1) != 0x11) at = function.config_read(at + 1, 1);
    ASSERT_NE(at, 0u);
    EXPECT_EQ(function.config_read(at + 2, 2) & 0x7ff, Xhci::kInterrupterCount - 1);
    SpaceWindow window(board.space, kBase);
    window.write(kMsixTable, 4, 0xfee00000);
    window.write(kMsixTable + 8, 4, 0x41);
    window.write(kMsixTable + 12, 4, 0);
    function.config_write(at + 2, 2, 0x8000);
    XhciDriver driver(window, *board.memory);
    driver.start();
    EXPECT_EQ(driver.command(kNoOpCommand).code, kSuccess);
    const auto sent = board.msi.take();
    ASSERT_GE(sent.size(), 1u);
    EXPECT_EQ(sent[0].address, 0xfee00000u);
    EXPECT_EQ(sent[0].data, 0x41u);
    EXPECT_EQ(board.line.rises(), 0u);
}

TEST(XhciController, WithoutBusMasteringNothingIsReached) {
    PciBoard board;
    XhciController controller(board.attachment(board.line), board.clock);
    controller.function().config_write(0x10, 4, kBase);
    controller.function().config_write(4, 2, 6);
    SpaceWindow window(board.space, kBase);
    XhciDriver driver(window, *board.memory);
    driver.start();
    controller.function().config_write(4, 2, 2);
    driver.write(kDoorbells, 0);
    EXPECT_EQ(driver.operational(kUsbStatus) & kHostSystemError, kHostSystemError);
}

TEST(EhciController, IsFourFunctionsThatShareThePorts) {
    PciBoard board;
    const EhciController::Attachments attachments{
        board.attachment(board.line),
        {board.attachment(board.lines[0]), board.attachment(board.lines[1]),
         board.attachment(board.lines[2])}};
    EhciController controller(attachments, board.clock);
    EXPECT_EQ(controller.function().config_read(0, 4), 0x293a8086u);
    EXPECT_EQ(controller.function().config_read(8, 4) >> 8, 0x0c0320u);
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(controller.companion(i).config_read(0, 4), 0x29348086u + (i << 16));
        EXPECT_EQ(controller.companion(i).config_read(0x3d, 1), i + 1);
    }
    // The semaphores of firmware and system.
    controller.function().config_write(0x68, 4, 0x01000000);
    EXPECT_EQ(controller.function().config_read(0x68, 4), 0x01000001u);

    UsbTablet tablet(board.clock);
    EXPECT_TRUE(controller.usb().plug(tablet, 2).ok());
    controller.companion(1).config_write(0x20, 4, 0xc000);
    controller.companion(1).config_write(4, 2, 5);
    SpaceWindow window(board.ports, 0xc000);
    UhciDriver driver(window, board, 0x100000);
    driver.start();
    ASSERT_TRUE(driver.address_device(0, 3));
    driver.configure();
    EXPECT_GT(board.lines[1].rises(), 0u);
    EXPECT_EQ(board.line.rises(), 0u);
    controller.usb().unplug(tablet);
}

}  // namespace
}  // namespace mynah::testing
