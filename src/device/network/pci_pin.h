#pragma once

#include "bus/interrupt_line.h"
#include "bus/pci/pci_function.h"

namespace mynah {

// A function's INTx pin as an interrupt line.
class PciPin final : public InterruptLine {
  public:
    explicit PciPin(PciFunction& function) : function_(function) {}
    void set(bool level) override { function_.set_intx(level); }

  private:
    PciFunction& function_;
};

}  // namespace mynah
