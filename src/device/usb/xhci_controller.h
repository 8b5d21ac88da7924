#pragma once

#include "bus/pci/pci_function.h"
#include "bus/vm_clock.h"
#include "device/usb/pci_usb_interrupts.h"
#include "device/usb/usb_host_adapter.h"
#include "device/usb/xhci.h"

namespace mynah {

// An Xhci as a PCI function: the one of Intel's 7 series chipset (8086:1e31), with MSI-X beside
// its MSI. Any thread.
class XhciController {
  public:
    // The clock outlives the controller.
    XhciController(const PciAttachment& attachment, VmClock& clock);

    PciFunction& function() { return function_; }
    // To plug devices in and out: ports 0 to 3 are USB 2, 4 to 7 USB 3.
    UsbHostAdapter& usb() { return adapter_; }
    // As after power-on, but with the devices where they are.
    void reset();

  private:
    PciFunction function_;
    PciUsbInterrupts interrupts_{function_};
    Xhci chip_;
    UsbHostAdapter adapter_;
};

}  // namespace mynah
