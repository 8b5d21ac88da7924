#pragma once

#include <array>
#include <cstdint>

#include "bus/pci/pci_address.h"
#include "bus/pci/pci_function.h"

namespace mynah {

// The functions on one PCI bus by where they sit, and the buses behind its bridges. Put together
// before the machine runs; after that any thread. Functions and buses outlive it.
class PciBus {
  public:
    PciBus() = default;
    PciBus(const PciBus&) = delete;
    PciBus& operator=(const PciBus&) = delete;

    // CHECKs that the place is free. A device with functions beyond 0 says so in function 0, which
    // is added before them.
    void add(PciSlot slot, PciFunction& function);
    // `bridge` is a function made with PciIdentity::bridge; its registers give the bus its number.
    void add_bridge(PciSlot slot, PciFunction& bridge, PciBus& secondary);

    // From the bus with number `own`: the function that answers to bus number `bus`; null: nobody.
    PciFunction* find(uint8_t own, uint8_t bus, uint8_t devfn);
    PciFunction* at(uint8_t devfn) { return functions_[devfn].function; }

    // A configuration cycle on the host's bus, which is number 0; offset 0 to 4095, size 1 to 4.
    uint32_t config_read(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size);
    void config_write(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size, uint32_t value);

  private:
    struct Place {
        PciFunction* function = nullptr;
        PciBus* secondary = nullptr;
    };
    std::array<Place, 256> functions_;  // by devfn
    std::vector<Place> bridges_;
};

}  // namespace mynah
