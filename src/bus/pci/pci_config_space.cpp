#include "bus/pci/pci_config_space.h"

#include "base/check.h"

namespace mynah {

PciConfigSpace::PciConfigSpace()
    : value_(pci::kExpressBytes),
      initial_(pci::kExpressBytes),
      writable_(pci::kExpressBytes),
      initial_writable_(pci::kExpressBytes),
      clearable_(pci::kExpressBytes) {
    for (unsigned i = 0; i < pci::kFirstFree; ++i) used_.set(i);
}

void PciConfigSpace::define(unsigned offset, unsigned size, uint32_t value, uint32_t writable) {
    CHECK(size <= 4 && offset + size <= pci::kExpressBytes);
    for (unsigned i = 0; i < size; ++i) {
        value_[offset + i] = initial_[offset + i] = static_cast<uint8_t>(value >> (8 * i));
        writable_[offset + i] = initial_writable_[offset + i] =
            static_cast<uint8_t>(writable >> (8 * i));
        if (offset + i < used_.size()) used_.set(offset + i);
    }
}

void PciConfigSpace::define_clearable(unsigned offset, unsigned size, uint32_t clearable) {
    CHECK(size <= 4 && offset + size <= pci::kExpressBytes);
    for (unsigned i = 0; i < size; ++i) {
        clearable_[offset + i] = static_cast<uint8_t>(clearable >> (8 * i));
    }
}

unsigned PciConfigSpace::allocate(unsigned size) {
    for (unsigned at = pci::kFirstFree; at + size <= used_.size(); at += 4) {
        unsigned free = 0;
        while (free < size && !used_.test(at + free)) ++free;
        if (free < size) continue;
        for (unsigned i = 0; i < size; ++i) used_.set(at + i);
        return at;
    }
    CHECK(!"a function's capabilities fit into its configuration space");
    return 0;
}

void PciConfigSpace::reset() {
    value_ = initial_;
    writable_ = initial_writable_;
}

uint32_t PciConfigSpace::read(unsigned offset, unsigned size) const {
    uint32_t value = 0;
    for (unsigned i = 0; i < size && offset + i < value_.size(); ++i) {
        value |= uint32_t{value_[offset + i]} << (8 * i);
    }
    return value;
}

void PciConfigSpace::write(unsigned offset, unsigned size, uint32_t value) {
    for (unsigned i = 0; i < size && offset + i < value_.size(); ++i) {
        const unsigned at = offset + i;
        const auto byte = static_cast<uint8_t>(value >> (8 * i));
        const uint8_t writable = writable_[at];
        value_[at] = static_cast<uint8_t>((value_[at] & ~writable) | (byte & writable));
        value_[at] = static_cast<uint8_t>(value_[at] & ~(byte & clearable_[at]));
    }
}

void PciConfigSpace::store(unsigned offset, unsigned size, uint32_t value) {
    CHECK(size <= 4 && offset + size <= pci::kExpressBytes);
    for (unsigned i = 0; i < size; ++i) {
        value_[offset + i] = static_cast<uint8_t>(value >> (8 * i));
    }
}

void PciConfigSpace::restrict(unsigned offset, unsigned size, uint32_t writable) {
    CHECK(size <= 4 && offset + size <= pci::kExpressBytes);
    for (unsigned i = 0; i < size; ++i) {
        writable_[offset + i] = static_cast<uint8_t>(writable >> (8 * i));
    }
}

}  // namespace mynah
