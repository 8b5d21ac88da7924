#include "device/display/vga_renderer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bits.h"
#include "device/display/vga_palette.h"
#include "device/display/vga_scan.h"
#include "memory/address.h"

namespace mynah {

using namespace vga;

namespace {

// Before a guest chose a mode: the size of the text mode it will begin with.
constexpr uint32_t kFirstWidth = 720, kFirstHeight = 400;

// In pictures: a cursor is shown for half of 16, what blinks for half of 32 [VGA 2-64, 2-98].
constexpr uint64_t kCursorFrames = 8, kBlinkFrames = 16;

// In a mode of the Bochs interface the sequencer may never have been set up.
bool is_blank(const VgaRegisters& registers, bool dispi) {
    if (!registers.video_enabled) return true;
    if (dispi) return false;
    return (registers.sequencer[sequencer::kClocking] & sequencer::kScreenOff) != 0 ||
           (registers.sequencer[sequencer::kReset] & sequencer::kRunning) != sequencer::kRunning;
}

bool any_dirty(std::span<const uint64_t> dirty, uint64_t begin, uint64_t end) {
    for (uint64_t page = begin / kPageSize; page <= (end - 1) / kPageSize; ++page) {
        if (page / 64 < dirty.size() && (dirty[page / 64] >> page % 64 & 1) != 0) return true;
    }
    return false;
}

uint32_t spread(uint32_t value, unsigned bits) {
    const uint32_t wide = value << (8 - bits);
    return wide | wide >> bits;
}

// One line of a linear frame buffer; `from` holds enough bytes.
void convert(unsigned bpp, const std::byte* from, const std::array<uint32_t, 256>& dac,
             std::span<uint32_t> out) {
    switch (bpp) {
        case 8:
            for (uint32_t& pixel : out) pixel = dac[static_cast<uint8_t>(*from++)];
            break;
        case 15:
            for (uint32_t& pixel : out) {
                const uint32_t v = load_unaligned<uint16_t>(from);
                pixel =
                    spread(v >> 10 & 31, 5) << 16 | spread(v >> 5 & 31, 5) << 8 | spread(v & 31, 5);
                from += 2;
            }
            break;
        case 16:
            for (uint32_t& pixel : out) {
                const uint32_t v = load_unaligned<uint16_t>(from);
                pixel =
                    spread(v >> 11 & 31, 5) << 16 | spread(v >> 5 & 63, 6) << 8 | spread(v & 31, 5);
                from += 2;
            }
            break;
        case 24:
            for (uint32_t& pixel : out) {
                pixel = static_cast<uint32_t>(from[0]) | static_cast<uint32_t>(from[1]) << 8 |
                        static_cast<uint32_t>(from[2]) << 16;
                from += 3;
            }
            break;
        default:
            for (uint32_t& pixel : out) {
                pixel = load_unaligned<uint32_t>(from) & 0xffffff;
                from += 4;
            }
            break;
    }
}

// Adds a changed part of one line, to the rectangle above it where that wastes little.
void add_part(uint32_t y, uint32_t begin, uint32_t end, std::vector<Rect>& changed) {
    if (!changed.empty()) {
        Rect& last = changed.back();
        const uint32_t left = std::min(last.x, begin), right = std::max(last.x + last.width, end);
        const uint32_t widest = std::max(last.width, end - begin);
        if (last.y + last.height == y && right - left <= widest + widest / 2 + 64) {
            last = {left, last.y, right - left, last.height + 1};
            return;
        }
    }
    changed.push_back({begin, y, end - begin, 1});
}

}  // namespace

void VgaRenderer::resize(uint32_t width, uint32_t height, Surface& surface,
                         std::vector<Rect>& changed) {
    line_.resize(width);
    if (surface.width() == width && surface.height() == height) return;
    surface.resize(width, height);
    changed.assign(1, Rect{0, 0, width, height});
}

// Line y is as line_ says now.
void VgaRenderer::put_line(uint32_t y, Surface& surface, std::vector<Rect>& changed) {
    const std::span<uint32_t> there = surface.row(y);
    if (std::memcmp(there.data(), line_.data(), there.size_bytes()) == 0) return;
    const auto first = std::mismatch(there.begin(), there.end(), line_.begin()).first;
    const auto last = std::mismatch(there.rbegin(), there.rend(), line_.rbegin()).first;
    const auto begin = static_cast<uint32_t>(first - there.begin());
    const auto end = static_cast<uint32_t>(there.rend() - last);
    std::copy(line_.begin() + begin, line_.begin() + end, there.begin() + begin);
    const bool all = changed.size() == 1 && changed[0].height == surface.height() &&
                     changed[0].width == surface.width();
    if (!all) add_part(y, begin, end, changed);
}

void VgaRenderer::render_blank(Surface& surface, std::vector<Rect>& changed) {
    if (surface.width() == 0) {
        resize(kFirstWidth, kFirstHeight, surface, changed);
    } else {
        resize(surface.width(), surface.height(), surface, changed);
    }
    std::fill(line_.begin(), line_.end(), 0);
    for (uint32_t y = 0; y < surface.height(); ++y) put_line(y, surface, changed);
}

void VgaRenderer::render_linear(const Dispi& dispi, std::span<const std::byte> memory,
                                std::span<const uint64_t> dirty, bool all, Surface& surface,
                                std::vector<Rect>& changed) {
    const DispiRegisters& mode = dispi.registers();
    resize(mode.x_res, mode.y_res, surface, changed);
    const auto dac = dac_colours(look_.registers, dispi.eight_bit_dac());
    const uint64_t pixel_bytes = (mode.bpp + 7u) / 8, line_bytes = pixel_bytes * mode.x_res;
    for (uint32_t y = 0; y < mode.y_res; ++y) {
        const uint64_t begin =
            (uint64_t{mode.y_offset} + y) * dispi.pitch() + pixel_bytes * mode.x_offset;
        if (begin + line_bytes > memory.size()) {  // the offsets are the guest's
            std::fill(line_.begin(), line_.end(), 0);
        } else if (!all && !any_dirty(dirty, begin, begin + line_bytes)) {
            continue;
        } else {
            convert(mode.bpp, memory.data() + begin, dac, line_);
        }
        put_line(y, surface, changed);
    }
}

void VgaRenderer::render_planes(const Dispi& dispi, std::span<const std::byte> memory,
                                Surface& surface, std::vector<Rect>& changed) {
    const auto dac = dac_colours(look_.registers, dispi.eight_bit_dac());
    VgaScan scan(look_.registers, memory, dac, {look_.cursor_shown, look_.blink_shown});
    if (!dispi.enabled()) {
        resize(scan.width(), scan.height(), surface, changed);
        for (uint32_t y = 0; y < scan.height(); ++y) {
            scan.next_line(line_);
            put_line(y, surface, changed);
        }
        return;
    }
    const DispiRegisters& mode = dispi.registers();
    resize(mode.x_res, mode.y_res, surface, changed);
    for (uint32_t y = 0; y < mode.y_res; ++y) {
        scan.planar_line((mode.y_offset + y) * dispi.pitch() + mode.x_offset / 8u, line_);
        put_line(y, surface, changed);
    }
}

std::string screen_text(const VgaRegisters& registers, const Dispi& dispi,
                        std::span<const std::byte> memory) {
    if (is_blank(registers, dispi.enabled())) return "the screen is off\n";
    const DispiRegisters& mode = dispi.registers();
    if (dispi.enabled())
        return fmt::format("graphics, {} x {} with {} bits a pixel\n", mode.x_res, mode.y_res,
                           mode.bpp);
    const auto dac = dac_colours(registers, false);
    VgaScan scan(registers, memory, dac, {});
    if (!VgaScan::is_text(registers))
        return fmt::format("graphics, {} x {}\n", scan.width(), scan.height());
    std::string text = scan.text();
    const size_t last = text.find_last_not_of('\n');
    return last == text.npos ? "the screen is empty\n" : text.substr(0, last + 1) + "\n";
}

void VgaRenderer::render(const VgaRegisters& registers, const Dispi& dispi,
                         std::span<const std::byte> memory, std::span<const uint64_t> dirty,
                         uint64_t frame, Surface& surface, std::vector<Rect>& changed) {
    const bool blinks = VgaScan::is_text(registers) && !dispi.enabled();
    const Look look{registers, dispi.registers(), blinks && frame / kCursorFrames % 2 == 0,
                    blinks && frame / kBlinkFrames % 2 == 0};
    const bool all = !drawn_ || look != look_;
    look_ = look;
    drawn_ = true;
    const bool linear = dispi.enabled() && !dispi.planar();
    if (is_blank(registers, dispi.enabled())) {
        if (all) render_blank(surface, changed);
    } else if (linear) {
        render_linear(dispi, memory, dirty, all, surface, changed);
    } else if (all || any_dirty(dirty, 0, memory.size())) {
        render_planes(dispi, memory, surface, changed);
    }
}

}  // namespace mynah
