#include "device/usb/xhci_controller.h"

#include "device/usb/xhci_registers.h"

namespace mynah {
namespace {

// Registers in configuration space of every xHCI function [xHCI 1.1 5.2].
constexpr unsigned kSerialBusRelease = 0x60, kFrameLength = 0x61;
constexpr uint32_t kUsb3 = 0x30, kFrameLengthDefault = 0x20;

constexpr PciIdentity kIdentity{
    .vendor = 0x8086, .device = 0x1e31, .class_code = 0x0c0330, .revision = 4};

}  // namespace

XhciController::XhciController(const PciAttachment& attachment, VmClock& clock)
    : function_(attachment, kIdentity), chip_(function_.dma(), clock), adapter_(clock) {
    IoHandler& registers = adapter_.add(chip_, interrupts_);
    function_.add_bar(0, PciFunction::Bar::kMemory64, xhci_registers::kWindowSize, registers);
    function_.add_msi(Xhci::kInterrupterCount);
    function_.add_msix(Xhci::kInterrupterCount, 0, xhci_registers::kMsixTable,
                       xhci_registers::kMsixPending);
    function_.set_config(kSerialBusRelease, 1, kUsb3);
    function_.set_config(kFrameLength, 1, kFrameLengthDefault, 0x3f);
    // Bus mastering or messages may have been turned on while something waits to be signalled.
    function_.on_config_write([this](unsigned, unsigned) { adapter_.update(); });
}

void XhciController::reset() {
    adapter_.reset();
    function_.reset();
}

}  // namespace mynah
