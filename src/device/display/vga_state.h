#pragma once

#include <array>
#include <cstdint>

#include "spec/vga/vga_registers.h"

namespace mynah {

// Everything a VGA's registers hold that decides what is on the screen and how processors reach
// the memory [VGA 2]. Two that compare equal make the same picture of the same memory.
struct VgaRegisters {
    uint8_t misc = 0;
    std::array<uint8_t, vga::sequencer::kRegisters> sequencer{};
    std::array<uint8_t, vga::crtc::kRegisters> crtc{};
    std::array<uint8_t, vga::graphics::kRegisters> graphics{};
    std::array<uint8_t, vga::attribute::kRegisters> attribute{};
    bool video_enabled = false;  // the attribute index' bit 5
    uint8_t dac_mask = 0xff;
    std::array<std::array<uint8_t, 3>, 256> dac{};  // red, green, blue as they were written

    bool operator==(const VgaRegisters&) const = default;
};

// The Bochs display interface's registers as they hold after limits were applied [VBE_DISPI].
struct DispiRegisters {
    uint16_t x_res = 0, y_res = 0, bpp = 8, enable = 0, bank = 0;
    uint16_t virtual_width = 0, virtual_height = 0, x_offset = 0, y_offset = 0;

    bool operator==(const DispiRegisters&) const = default;
};

}  // namespace mynah
