#include "device/usb/ehci_controller.h"

#include "base/check.h"

namespace mynah {
namespace {

// Registers in configuration space [EHCI 1.0 2.1; UHCI 1.1 2.2].
constexpr unsigned kSerialBusRelease = 0x60, kFrameLength = 0x61, kPortWake = 0x62;
constexpr uint32_t kUsb1 = 0x10, kUsb2 = 0x20, kFrameLengthDefault = 0x20;
constexpr uint32_t kAllPortsWake = 0x007f;
// USB legacy support: the semaphores with which firmware hands the controller over
// [EHCI 1.0 2.1.7].
constexpr uint32_t kLegacyCapability = 0x00000001, kLegacySemaphores = 0x01010000;
// Its counterpart of UHCI functions; the bits that would cause SMIs are kept and cause none.
constexpr unsigned kUhciLegacy = 0xc0;
constexpr uint32_t kUhciLegacyDefault = 0x2000, kUhciLegacyWritable = 0x20bf;

constexpr PciIdentity ehci_identity() {
    return {.vendor = 0x8086, .device = 0x293a, .class_code = 0x0c0320, .revision = 3};
}
PciIdentity uhci_identity(unsigned number) {
    return {.vendor = 0x8086,
            .device = static_cast<uint16_t>(0x2934 + number),
            .class_code = 0x0c0300,
            .revision = 3,
            .interrupt_pin = static_cast<uint8_t>(number + 1)};
}

}  // namespace

struct EhciController::Companion {
    Companion(const PciAttachment& attachment, unsigned number, VmClock& clock)
        : function(attachment, uhci_identity(number)), chip(function.dma(), clock) {}

    PciFunction function;
    PciUsbInterrupts interrupts{function};
    Uhci chip;
};

EhciController::Companions EhciController::make_companions(const Attachments& attachments,
                                                           VmClock& clock) {
    Companions made;
    for (unsigned i = 0; i < made.size(); ++i) {
        made[i] = std::make_unique<Companion>(attachments.uhci[i], i, clock);
    }
    return made;
}

std::array<Uhci*, Ehci::kCompanions> EhciController::companion_chips() const {
    std::array<Uhci*, Ehci::kCompanions> chips;
    for (unsigned i = 0; i < chips.size(); ++i) chips[i] = &companions_[i]->chip;
    return chips;
}

EhciController::EhciController(const Attachments& attachments, VmClock& clock)
    : companions_(make_companions(attachments, clock)),
      function_(attachments.ehci, ehci_identity()),
      chip_(function_.dma(), clock, companion_chips()),
      adapter_(clock) {
    // The EHCI first: it has the ports.
    IoHandler& registers = adapter_.add(chip_, interrupts_);
    function_.add_bar(0, PciFunction::Bar::kMemory32, ehci::kWindowSize, registers);
    function_.set_config(kSerialBusRelease, 1, kUsb2);
    function_.set_config(kFrameLength, 1, kFrameLengthDefault, 0x3f);
    function_.set_config(kPortWake, 2, kAllPortsWake, kAllPortsWake);
    function_.set_config(ehci::kLegacySupport, 4, kLegacyCapability, kLegacySemaphores);
    function_.on_config_write([this](unsigned, unsigned) { adapter_.update(); });
    for (auto& companion : companions_) {
        PciFunction& function = companion->function;
        IoHandler& ports = adapter_.add(companion->chip, companion->interrupts);
        function.add_bar(4, PciFunction::Bar::kIo, uhci::kWindowSize, ports);
        function.set_config(kSerialBusRelease, 1, kUsb1);
        function.set_config(kUhciLegacy, 2, kUhciLegacyDefault, kUhciLegacyWritable);
        function.on_config_write([this](unsigned, unsigned) { adapter_.update(); });
    }
}

EhciController::~EhciController() = default;

PciFunction& EhciController::companion(unsigned number) {
    CHECK(number < companions_.size());
    return companions_[number]->function;
}

void EhciController::reset() {
    adapter_.reset();
    function_.reset();
    for (auto& companion : companions_) companion->function.reset();
}

}  // namespace mynah
