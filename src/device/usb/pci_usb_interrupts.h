#pragma once

#include "bus/pci/pci_function.h"
#include "device/usb/usb_host_adapter.h"

namespace mynah {

// The interrupts of a host controller that is a PCI function.
class PciUsbInterrupts final : public UsbInterrupts {
  public:
    explicit PciUsbInterrupts(PciFunction& function) : function_(function) {}
    void set(bool level) override { function_.set_intx(level); }
    bool messages() const override { return function_.msi_enabled(); }
    void send(unsigned vector) override { function_.send_msi(vector); }

  private:
    PciFunction& function_;
};

}  // namespace mynah
