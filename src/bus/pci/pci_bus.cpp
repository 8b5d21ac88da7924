#include "bus/pci/pci_bus.h"

#include <thread>

#include "base/check.h"

namespace mynah {

void PciBus::add(PciSlot slot, PciFunction& function) {
    CHECK(slot.device < 32 && slot.function < 8);
    Place& place = functions_[slot.devfn()];
    CHECK(place.function == nullptr);
    place.function = &function;
    if (slot.function == 0) return;
    // [PCI 3.0 6.2.1]: software looks at function 0 to know whether there are others.
    PciFunction* const first = functions_[PciSlot{slot.device, 0}.devfn()].function;
    CHECK(first != nullptr);
    const uint32_t type = first->config_read(pci::kHeaderType, 1);
    first->set_config(pci::kHeaderType, 1, type | pci::header_type::kMultiFunction);
}

void PciBus::add_bridge(PciSlot slot, PciFunction& bridge, PciBus& secondary) {
    add(slot, bridge);
    bridges_.push_back({&bridge, &secondary});
}

void PciBus::insert(uint8_t device, PciFunction& function) {
    Place& place = functions_[PciSlot{device, 0}.devfn()];
    CHECK(place.function.exchange(&function) == nullptr);
}

void PciBus::remove(uint8_t device) {
    functions_[PciSlot{device, 0}.devfn()].function.store(nullptr);
}

void PciBus::settle(uint8_t device) {
    while (functions_[PciSlot{device, 0}.devfn()].cycles.load() != 0) std::this_thread::yield();
}

PciBus::Place* PciBus::begin(uint8_t own, uint8_t bus, uint8_t devfn) {
    if (bus == own) {
        // Counted first: whoever removes the function then sees this cycle, or this cycle finds
        // nobody.
        Place& place = functions_[devfn];
        place.cycles.fetch_add(1);
        return &place;
    }
    for (const Bridge& place : bridges_) {
        const auto first =
            static_cast<uint8_t>(place.function->config_read(pci::bridge::kSecondaryBus, 1));
        const auto last =
            static_cast<uint8_t>(place.function->config_read(pci::bridge::kSubordinateBus, 1));
        if (first == 0 || bus < first || bus > last) continue;
        return place.secondary->begin(first, bus, devfn);
    }
    return nullptr;
}

PciFunction* PciBus::find(uint8_t own, uint8_t bus, uint8_t devfn) {
    Place* const place = begin(own, bus, devfn);
    if (place == nullptr) return nullptr;
    PciFunction* const function = place->function.load();
    place->cycles.fetch_sub(1);
    return function;
}

uint32_t PciBus::config_read(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    uint32_t value = size >= 4 ? ~0u : (1u << (8 * size)) - 1;
    Place* const place = begin(0, bus, devfn);
    if (place == nullptr) return value;
    if (PciFunction* const function = place->function.load())
        value = function->config_read(offset, size);
    place->cycles.fetch_sub(1);
    return value;
}

void PciBus::config_write(uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                          uint32_t value) {
    Place* const place = begin(0, bus, devfn);
    if (place == nullptr) return;
    if (PciFunction* const function = place->function.load())
        function->config_write(offset, size, value);
    place->cycles.fetch_sub(1);
}

}  // namespace mynah
