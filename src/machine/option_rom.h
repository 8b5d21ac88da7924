#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// Makes every image of an expansion ROM one for this device: firmware runs a ROM only if the
// identity in it is the card's [PCI Firmware 3.0 5.1]. What is no ROM is left alone.
void retarget_option_rom(std::span<std::byte> rom, uint16_t vendor, uint16_t device);

}  // namespace mynah
