#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/display/surface.h"
#include "device/display/dispi.h"
#include "device/display/vga_state.h"

namespace mynah {

// Draws what a monitor behind the VGA shows, line by line as the CRT controller scans: a surface
// has one pixel for each dot of the display's active part. So 320 x 200 with 256 colours is 640 x
// 400, as its dots are two clocks wide and its lines are scanned twice.
// A line is drawn when memory it may lie in was written to, and every line when a register changed;
// what came out is compared with what is there, so that only differences are reported.
// Left out: smooth scrolling inside one picture (registers changed while the beam is on its way),
// overscan borders, blinking in graphics modes, cursor and display skew.
class VgaRenderer {
  public:
    // dirty: one bit for each page of memory, set if it may have changed since the last call.
    // frame: pictures shown so far, for what blinks.
    void render(const VgaRegisters& registers, const Dispi& dispi,
                std::span<const std::byte> memory, std::span<const uint64_t> dirty, uint64_t frame,
                Surface& surface, std::vector<Rect>& changed);

  private:
    // What the picture depends on besides memory.
    struct Look {
        VgaRegisters registers;
        DispiRegisters dispi;
        bool cursor_shown = false, blink_shown = false;

        bool operator==(const Look&) const = default;
    };
    void resize(uint32_t width, uint32_t height, Surface& surface, std::vector<Rect>& changed);
    void put_line(uint32_t y, Surface& surface, std::vector<Rect>& changed);
    void render_blank(Surface& surface, std::vector<Rect>& changed);
    void render_linear(const Dispi& dispi, std::span<const std::byte> memory,
                       std::span<const uint64_t> dirty, bool all, Surface& surface,
                       std::vector<Rect>& changed);
    void render_planes(const Dispi& dispi, std::span<const std::byte> memory, Surface& surface,
                       std::vector<Rect>& changed);

    Look look_;
    bool drawn_ = false;          // look_ and the surface are of an earlier call
    std::vector<uint32_t> line_;  // the one being drawn
};

// What is on such a screen in words: the characters it shows, a line for each row, without empty ones
// at the end; else its mode, "graphics, 1024 x 768".
std::string screen_text(const VgaRegisters& registers, const Dispi& dispi,
                        std::span<const std::byte> memory);

}  // namespace mynah
