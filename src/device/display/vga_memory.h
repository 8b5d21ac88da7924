#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "device/display/dispi.h"
#include "device/display/vga_state.h"

namespace mynah {

// The video memory and how a processor reaches it through the window at A0000h [VGA 2-8;
// VBE_DISPI]. The four bytes of the planes at one address lie side by side: byte 4 * address +
// plane. So a linear frame buffer and the planes are the same memory, as on the cards of the time.
// Modelled: four write and two read modes, latches, odd/even, chain-4, the memory map's four
// windows, banks. Left out: memories of less than 256 KiB (extended memory off).
// Single-threaded but for the memory itself, which processors may write to at any moment.
class VgaMemory {
  public:
    struct Change {
        uint64_t begin = 0, size = 0;  // bytes of the memory
    };

    // A power of two, at least 256 KiB (CHECKed).
    explicit VgaMemory(std::span<std::byte> bytes);

    void reset() { latch_ = 0; }
    // offset: from A0000h on.
    uint8_t read(const VgaRegisters& registers, const Dispi& dispi, uint32_t offset);
    // What changed, for those who watch the memory; size 0: nothing.
    Change write(const VgaRegisters& registers, const Dispi& dispi, uint32_t offset, uint8_t value);
    Change clear(uint64_t bytes);

    std::span<std::byte> bytes() const { return bytes_; }
    // Moves the marks of pages written to through the window to `bits`, which covers the memory.
    void take_written(std::span<uint64_t> bits);

  private:
    // Where an access lands: an address in the planes and which plane the address chooses.
    struct Place {
        uint32_t address;
        unsigned low_bits;
    };
    bool in_window(const VgaRegisters& registers, uint32_t& offset) const;
    Place place(const VgaRegisters& registers, const Dispi& dispi, uint32_t offset) const;
    uint32_t load(uint32_t address) const;
    void mark(uint64_t begin, uint64_t size);

    const std::span<std::byte> bytes_;
    uint32_t latch_ = 0;
    std::vector<uint64_t> written_;
};

}  // namespace mynah
