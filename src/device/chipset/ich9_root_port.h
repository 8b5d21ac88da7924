#pragma once

#include "bus/pci/pci_bus.h"
#include "bus/pci/pci_function.h"
#include "device/chipset/ich9_registers.h"

namespace mynah {

// A PCI Express root port of an ICH9 [ICH9 19.1], with one slot behind it. Left out: hot plug, link
// training (the link is up when a card is there), power management events. Any thread.
class Ich9RootPort {
  public:
    // number: 0 to 5, which is its function number too.
    Ich9RootPort(const PciAttachment& attachment, unsigned number);

    PciFunction& function() { return function_; }
    PciBus& secondary() { return secondary_; }
    // Its interrupt pin, 1 to 4, by the port's number.
    static unsigned pin(unsigned number) { return number % 4 + 1; }

    // A card's function 0 goes into the slot. While the board is built.
    void plug(PciFunction& card);
    void reset() { function_.reset(); }

  private:
    PciFunction function_;
    PciBus secondary_;
    unsigned express_;
};

}  // namespace mynah
