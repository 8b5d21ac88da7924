#pragma once

#include <cstdint>

#include "device/display/vga_state.h"
#include "spec/vga/dispi_registers.h"

namespace mynah {

// The Bochs display interface, version 5 [VBE_DISPI]: sets a mode of any size with 4 to 32 bits a
// pixel, a visible part of a larger picture, and the bank seen at A0000h. What does not fit into
// the memory cannot be set. Single-threaded; part of Vga.
class Dispi {
  public:
    // Largest picture, whatever the memory: a bound for what a viewer has to hold.
    static constexpr uint16_t kMaximumWidth = 4096, kMaximumHeight = 2304;

    explicit Dispi(uint64_t memory_bytes) : memory_bytes_(memory_bytes) {}

    void reset();
    uint16_t read(unsigned index) const;
    // True if the mode was switched on and its memory is to be cleared.
    [[nodiscard]] bool write(unsigned index, uint16_t value);

    const DispiRegisters& registers() const { return state_; }
    bool enabled() const;
    bool planar() const { return state_.bpp == 4; }
    bool eight_bit_dac() const;
    uint32_t pitch() const;  // bytes from line to line; of one plane if planar

  private:
    bool acceptable_bpp(uint16_t value) const;
    void set_mode();
    void set_virtual_width(uint16_t value);

    uint64_t memory_bytes_;
    DispiRegisters state_;
    uint16_t id_ = dispi::kIdLatest;
};

}  // namespace mynah
