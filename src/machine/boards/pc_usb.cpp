#include "device/usb/usb_input.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// USB: the controller, and keyboard and tablet for whoever looks at the screen.
namespace mynah {

Result<void> PcBoard::add_usb() {
    usb_ = &own<XhciController>(
        std::make_unique<XhciController>(attachment(pc::kXhci), at_.clock),
        [](XhciController& controller) { controller.reset(); });
    root_bus_.add(pc::kXhci, usb_->function());
    input_.add(keyboard_.keys());
    input_.add(keyboard_.pointer());
    if (!parts_.config.graphics.vnc) return {};
    auto& devices = own<UsbInput>(std::make_unique<UsbInput>(at_.clock), [](UsbInput&) {});
    TRY(usb_->usb().plug(devices.tablet()));
    TRY(usb_->usb().plug(devices.keyboard()));
    input_.add(devices.keys());
    input_.add(devices.pointer());
    return {};
}

}  // namespace mynah
