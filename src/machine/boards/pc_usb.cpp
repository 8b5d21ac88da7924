#include "device/usb/ehci_controller.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/xhci_controller.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// USB: the controller, and keyboard and tablet for whoever looks at the screen.
namespace mynah {

Result<void> PcBoard::add_usb() {
    input_.add(keyboard_.keys());
    input_.add(keyboard_.pointer());
    switch (parts_.config.usb) {
        case UsbModel::kNone:
            return {};
        case UsbModel::kXhci:
            add_xhci();
            break;
        case UsbModel::kEhci:
            add_ehci();
            break;
    }
    if (!parts_.config.graphics.vnc) return {};
    auto& keyboard =
        own<UsbKeyboard>(std::make_unique<UsbKeyboard>(at_.clock, nullptr), [](UsbKeyboard&) {});
    auto& tablet = own<UsbTablet>(std::make_unique<UsbTablet>(at_.clock), [](UsbTablet&) {});
    TRY(usb_->plug(tablet));
    TRY(usb_->plug(keyboard));
    input_.add(keyboard);
    input_.add(tablet);
    return {};
}

void PcBoard::add_xhci() {
    auto& controller =
        own<XhciController>(std::make_unique<XhciController>(attachment(pc::kXhci), at_.clock),
                            [](XhciController& each) { each.reset(); });
    root_bus_.add(pc::kXhci, controller.function());
    usb_ = &controller.usb();
    usb_slot_ = pc::kXhci;
}

// The companions take function 0 and on of the device, with an interrupt pin each.
void PcBoard::add_ehci() {
    const auto companion = [](unsigned number) {
        return PciSlot{pc::kUsb.device, static_cast<uint8_t>(number)};
    };
    auto& controller =
        own<EhciController>(std::make_unique<EhciController>(
                                EhciController::Attachments{.ehci = attachment(pc::kEhci, 1),
                                                            .uhci = {attachment(companion(0), 1),
                                                                     attachment(companion(1), 2),
                                                                     attachment(companion(2), 3)}},
                                at_.clock),
                            [](EhciController& each) { each.reset(); });
    for (unsigned i = 0; i < Ehci::kCompanions; ++i)
        root_bus_.add(companion(i), controller.companion(i));
    root_bus_.add(pc::kEhci, controller.function());
    usb_ = &controller.usb();
    usb_slot_ = pc::kEhci;
}

}  // namespace mynah
