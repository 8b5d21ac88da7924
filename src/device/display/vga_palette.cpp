#include "device/display/vga_palette.h"

namespace mynah {

using namespace vga;

std::array<uint32_t, 256> dac_colours(const VgaRegisters& registers, bool eight_bit) {
    std::array<uint32_t, 256> colours;
    for (unsigned index = 0; index < colours.size(); ++index) {
        uint32_t colour = 0;
        for (const uint8_t part : registers.dac[index & registers.dac_mask]) {
            // Six bits spread over eight, so that the brightest is the brightest.
            const uint32_t six = part & 0x3fu;
            colour = colour << 8 | (eight_bit ? part : six << 2 | six >> 4);
        }
        colours[index] = colour;
    }
    return colours;
}

std::array<uint32_t, 16> attribute_colours(const VgaRegisters& registers,
                                           const std::array<uint32_t, 256>& dac) {
    const auto& ar = registers.attribute;
    const unsigned select = ar[attribute::kColourSelect];
    std::array<uint32_t, 16> colours;
    for (unsigned index = 0; index < colours.size(); ++index) {
        unsigned entry = ar[attribute::kPalette + (index & ar[attribute::kPlaneEnable] & 0xf)];
        if ((ar[attribute::kModeControl] & attribute::kPalette54) != 0) {
            entry = (entry & 0xf) | (select & 3) << 4;
        }
        colours[index] = dac[entry | (select & 0xc) << 4];
    }
    return colours;
}

}  // namespace mynah
