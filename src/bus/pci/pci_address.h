#pragma once

#include <compare>
#include <cstdint>

namespace mynah {

// Where a function sits: bus, device and function number [PCI 3.0 3.2.2.3.4]. The bus number is
// the guest's to give; a function knows only its device and function number.
struct PciSlot {
    uint8_t device = 0;    // 0 to 31
    uint8_t function = 0;  // 0 to 7

    constexpr uint8_t devfn() const { return static_cast<uint8_t>(device << 3 | function); }
    auto operator<=>(const PciSlot&) const = default;
};

}  // namespace mynah
