#pragma once

#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "bus/pci/pci_function.h"

namespace mynah {

// The interrupt pin of a PCI function as a LineDriver drives it: wanted under the device's lock,
// driven outside of it, in order whichever threads do so.
class PciInterrupt final : private InterruptLine {
  public:
    explicit PciInterrupt(PciFunction& function) : function_(function) {}

    void want(bool level) { driver_.want(level); }
    void flush() { driver_.flush(); }

  private:
    void set(bool level) override { function_.set_intx(level); }

    PciFunction& function_;
    LineDriver driver_{*this};
};

}  // namespace mynah
