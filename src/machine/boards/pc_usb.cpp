#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// USB: the controller, and keyboard and tablet for whoever looks at the screen.
namespace mynah {

Result<void> PcBoard::add_usb() {
    usb_ = &own<XhciController>(std::make_unique<XhciController>(attachment(pc::kXhci), at_.clock),
                                [](XhciController& controller) { controller.reset(); });
    root_bus_.add(pc::kXhci, usb_->function());
    input_.add(keyboard_.keys());
    input_.add(keyboard_.pointer());
    if (!parts_.config.graphics.vnc) return {};
    auto& keyboard =
        own<UsbKeyboard>(std::make_unique<UsbKeyboard>(at_.clock, nullptr), [](UsbKeyboard&) {});
    auto& tablet = own<UsbTablet>(std::make_unique<UsbTablet>(at_.clock), [](UsbTablet&) {});
    TRY(usb_->usb().plug(tablet));
    TRY(usb_->usb().plug(keyboard));
    input_.add(keyboard);
    input_.add(tablet);
    return {};
}

}  // namespace mynah
