#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "bus/pci/pci_address.h"
#include "bus/pci/pci_function.h"

namespace mynah {

// The functions on one PCI bus by where they sit, and the buses behind its bridges. Put together
// before the machine runs, but for insert() and remove(); those and cycles on any thread. Functions
// and buses outlive it unless they are removed.
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

    // A function that comes while the machine runs, in function 0 of a device. remove(): no cycle
    // begins from now on; settle() waits for those under way, so not from within one.
    void insert(uint8_t device, PciFunction& function);
    void remove(uint8_t device);
    void settle(uint8_t device);

    // From the bus with number `own`: the function that answers to bus number `bus`; null: nobody.
    // Only where nothing is removed meanwhile.
    PciFunction* find(uint8_t own, uint8_t bus, uint8_t devfn);
    PciFunction* at(uint8_t devfn) { return functions_[devfn].function; }

    // A configuration cycle on the host's bus, which is number 0; offset 0 to 4095, size 1 to 4.
    uint32_t config_read(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size);
    void config_write(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size, uint32_t value);

  private:
    struct Place {
        std::atomic<PciFunction*> function{nullptr};
        std::atomic<uint32_t> cycles{0};  // under way
    };
    struct Bridge {
        PciFunction* function;
        PciBus* secondary;
    };
    // Where a cycle goes, and it is counted there; null: nowhere.
    Place* begin(uint8_t own, uint8_t bus, uint8_t devfn);
    std::array<Place, 256> functions_;  // by devfn
    std::vector<Bridge> bridges_;
};

}  // namespace mynah
