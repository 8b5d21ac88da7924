#pragma once

#include <array>
#include <cstdint>

#include "device/display/vga_state.h"

namespace mynah {

// Pixels xxRRGGBBh of all 256 colours of the DAC, its mask applied.
std::array<uint32_t, 256> dac_colours(const VgaRegisters& registers, bool eight_bit);

// Those of the 16 colours that the attribute controller's palette chooses [VGA 2-97 to 2-101].
std::array<uint32_t, 16> attribute_colours(const VgaRegisters& registers,
                                           const std::array<uint32_t, 256>& dac);

}  // namespace mynah
