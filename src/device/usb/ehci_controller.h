#pragma once

#include <array>
#include <memory>

#include "bus/pci/pci_function.h"
#include "bus/vm_clock.h"
#include "device/usb/ehci.h"
#include "device/usb/pci_usb_interrupts.h"
#include "device/usb/uhci.h"
#include "device/usb/usb_host_adapter.h"

namespace mynah {

// The first USB 2 controller of Intel's ICH9 with its companions, four PCI functions of one device:
// 8086:293a, on a PC function 7 of device 1dh, and 8086:2934, 2935, 2936, functions 0 to 2
// [ICH9 5.18, 5.19]. Any thread.
class EhciController {
  public:
    struct Attachments {
        PciAttachment ehci;
        std::array<PciAttachment, Ehci::kCompanions> uhci;
    };
    // The clock outlives the controller.
    EhciController(const Attachments& attachments, VmClock& clock);
    ~EhciController();

    PciFunction& function() { return function_; }
    PciFunction& companion(unsigned number);  // 0 to 2
    // To plug devices in and out: ports 0 to 5.
    UsbHostAdapter& usb() { return adapter_; }
    // As after power-on, but with the devices where they are.
    void reset();

  private:
    struct Companion;
    using Companions = std::array<std::unique_ptr<Companion>, Ehci::kCompanions>;
    static Companions make_companions(const Attachments& attachments, VmClock& clock);
    std::array<Uhci*, Ehci::kCompanions> companion_chips() const;

    Companions companions_;
    PciFunction function_;
    PciUsbInterrupts interrupts_{function_};
    Ehci chip_;
    UsbHostAdapter adapter_;
};

}  // namespace mynah
