#pragma once

#include <cstdint>

#include "device/display/vga_state.h"

namespace mynah {

// Where the beam of a monitor behind the VGA is: from the CRT controller's totals and the dot
// clock [VGA 2-49 to 2-69]. A mode of the Bochs interface has no timing of its own; then a monitor
// of 60 pictures a second is assumed.
class VgaTiming {
  public:
    // height: lines of a Bochs mode; 0: the CRT controller decides.
    VgaTiming(const VgaRegisters& registers, uint16_t height);

    // Input status 1: display off and vertical retrace.
    uint8_t status(uint64_t now_ns) const;
    // Pictures shown since the clock began; what blinks counts them.
    uint64_t frame(uint64_t now_ns) const;

  private:
    uint64_t clocks(uint64_t now_ns) const;  // of the dot clock

    uint64_t clock_hz_;
    uint32_t dots_, display_dots_;    // of a line
    uint32_t lines_, display_lines_;  // of a picture
    uint32_t retrace_start_, retrace_lines_;
};

}  // namespace mynah
