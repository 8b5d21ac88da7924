#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "device/display/vga_state.h"

namespace mynah {

// What the CRT controller and the shifters make of the planes: dots of one scan line after the
// other [VGA 2-49 to 2-103; FreeVGA].
class VgaScan {
  public:
    struct Blink {
        bool cursor_shown, blink_shown;
    };

    VgaScan(const VgaRegisters& registers, std::span<const std::byte> planes,
            const std::array<uint32_t, 256>& dac, Blink blink);

    uint32_t width() const { return width_; }
    uint32_t height() const { return height_; }

    // Draws the next line, from the top one on; out has width() pixels.
    void next_line(std::span<uint32_t> out);

    // The two cases of graphics whose addresses the Bochs interface gives: one line of 8 * count
    // dots whose planes begin at `address`.
    void planar_line(uint32_t address, std::span<uint32_t> out) const;

    // Takes the place of the lines: what the characters say, a line for each row. What is no ASCII
    // is a dot.
    std::string text();

    static bool is_text(const VgaRegisters& registers);

  private:
    static constexpr unsigned kCharacters = 256, kDotsMost = 9;

    uint32_t load(uint32_t address) const;
    uint32_t memory_address(uint32_t counter) const;
    void advance();
    void text_cell(uint32_t address, uint32_t counter, uint32_t* dots) const;
    void graphics_cell(uint32_t planes, uint32_t* dots) const;

    const VgaRegisters& registers_;
    const std::span<const std::byte> planes_;
    const std::array<uint32_t, 256>& dac_;
    const std::array<uint32_t, 16> colours_;
    const Blink blink_;
    const bool text_;
    const unsigned dots_;        // of a character
    const unsigned dot_clocks_;  // pixels of a dot: 1 or 2
    const unsigned characters_;
    const uint32_t width_, height_, line_compare_;

    uint32_t line_ = 0;
    uint32_t counter_ = 0;   // the address counter where this line began
    unsigned row_scan_ = 0;  // line within the row
    bool repeat_ = false;    // double scan: this line once more
    unsigned panning_ = 0;   // dots
};

}  // namespace mynah
