#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "device/display/dispi.h"
#include "device/display/vga_memory.h"
#include "device/display/vga_state.h"

namespace mynah {

// A VGA [VGA 2] with the Bochs display interface [VBE_DISPI]: sequencer, CRT controller, graphics
// controller, attribute controller, palette DAC and the memory behind them. VgaRenderer makes the
// picture; VgaAdapter is the attachment.
// Left out: light pen, switches that sense the monitor (a colour monitor is there), the enable
// register's effect, interrupt on vertical retrace (no PC wired it), ports of the other
// (monochrome or colour) set while this one is chosen.
// Single-threaded; the memory's contents are shared with processors.
class Vga {
  public:
    explicit Vga(std::span<std::byte> memory);

    // As after power-on, but for the memory, which nobody clears.
    void reset();

    // port: 3B0h to 3DFh.
    uint8_t read_port(uint16_t port, uint64_t now_ns);
    void write_port(uint16_t port, uint8_t value);
    uint16_t read_dispi(unsigned index) const { return dispi_.read(index); }
    [[nodiscard]] VgaMemory::Change write_dispi(unsigned index, uint16_t value);
    // offset: from A0000h on.
    uint8_t read_memory(uint32_t offset) { return memory_.read(registers_, dispi_, offset); }
    [[nodiscard]] VgaMemory::Change write_memory(uint32_t offset, uint8_t value) {
        return memory_.write(registers_, dispi_, offset, value);
    }

    const VgaRegisters& registers() const { return registers_; }
    const Dispi& dispi() const { return dispi_; }
    VgaMemory& memory() { return memory_; }

  private:
    bool decodes(uint16_t port) const;
    uint8_t read_dac();
    void write_dac(uint8_t value);
    void write_attribute(uint8_t value);
    void write_crtc(uint8_t value);

    VgaRegisters registers_;
    Dispi dispi_;
    VgaMemory memory_;
    uint8_t sequencer_index_ = 0, crtc_index_ = 0, graphics_index_ = 0, attribute_index_ = 0;
    bool attribute_expects_data_ = false;  // the flip-flop of port 3C0h
    uint8_t feature_ = 0, enable_ = 1;
    uint8_t dac_read_ = 0, dac_write_ = 0;  // indices
    uint8_t dac_component_ = 0;             // next of red, green, blue
    bool dac_reading_ = false;
};

}  // namespace mynah
