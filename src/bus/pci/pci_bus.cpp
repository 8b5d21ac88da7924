#include "bus/pci/pci_bus.h"

#include "base/check.h"

namespace mynah {

void PciBus::add(PciSlot slot, PciFunction& function) {
    CHECK(slot.device < 32 && slot.function < 8);
    Place& place = functions_[slot.devfn()];
    CHECK(place.function == nullptr);
    place.function = &function;
    if (slot.function == 0) return;
    // [PCI 3.0 6.2.1]: software looks at function 0 to know whether there are others.
    PciFunction* first = functions_[PciSlot{slot.device, 0}.devfn()].function;
    CHECK(first != nullptr);
    const uint32_t type = first->config_read(pci::kHeaderType, 1);
    first->set_config(pci::kHeaderType, 1, type | pci::header_type::kMultiFunction);
}

void PciBus::add_bridge(PciSlot slot, PciFunction& bridge, PciBus& secondary) {
    add(slot, bridge);
    functions_[slot.devfn()].secondary = &secondary;
    bridges_.push_back({&bridge, &secondary});
}

PciFunction* PciBus::find(uint8_t own, uint8_t bus, uint8_t devfn) {
    if (bus == own) return functions_[devfn].function;
    for (const Place& place : bridges_) {
        const auto first =
            static_cast<uint8_t>(place.function->config_read(pci::bridge::kSecondaryBus, 1));
        const auto last =
            static_cast<uint8_t>(place.function->config_read(pci::bridge::kSubordinateBus, 1));
        if (first == 0 || bus < first || bus > last) continue;
        return place.secondary->find(first, bus, devfn);
    }
    return nullptr;
}

uint32_t PciBus::config_read(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    PciFunction* function = find(0, bus, devfn);
    if (function == nullptr) return size >= 4 ? ~0u : (1u << (8 * size)) - 1;
    return function->config_read(offset, size);
}

void PciBus::config_write(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                          uint32_t value) {
    PciFunction* function = find(0, bus, devfn);
    if (function != nullptr) function->config_write(offset, size, value);
}

}  // namespace mynah
