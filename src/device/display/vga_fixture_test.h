#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "device/display/vga.h"
#include "device/display/vga_renderer.h"
#include "device/display/vga_timing.h"
#include "spec/vga/dispi_registers.h"
#include "spec/vga/vga_registers.h"

namespace mynah {

// What the VGA's own BIOS writes for a mode [VGA 2, table of modes].
struct VgaModeTable {
    uint8_t misc;
    std::array<uint8_t, 5> sequencer;
    std::array<uint8_t, 25> crtc;
    std::array<uint8_t, 9> graphics;
    std::array<uint8_t, 21> attribute;
};

inline constexpr VgaModeTable kMode3{
    0x67,
    {0x03, 0x00, 0x03, 0x00, 0x02},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0x00, 0x0f, 0x08, 0x00}};
inline constexpr VgaModeTable kMode1{
    0x67,
    {0x03, 0x08, 0x03, 0x00, 0x02},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    kMode3.graphics,
    kMode3.attribute};
inline constexpr VgaModeTable kMode4{
    0x63,
    {0x03, 0x09, 0x03, 0x00, 0x02},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x00, 0xff},
    {0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12,
     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x03, 0x00, 0x00}};
inline constexpr VgaModeTable kMode6{
    0x63,
    {0x03, 0x01, 0x01, 0x00, 0x06},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x00, 0xff},
    {0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
     0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0x00, 0x01, 0x00, 0x00}};
inline constexpr VgaModeTable kMode12{
    0xe3,
    {0x03, 0x01, 0x0f, 0x00, 0x06},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x01, 0x00, 0x0f, 0x00, 0x00}};
inline constexpr VgaModeTable kMode13{
    0x63,
    {0x03, 0x01, 0x0f, 0x00, 0x0e},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0x00, 0x0f, 0x00, 0x00}};

// A chip, what draws it, and a program that does what a BIOS does.
class VgaTest : public ::testing::Test {
  protected:
    static constexpr size_t kMemory = 1 << 20;

    uint8_t in(uint16_t port, uint64_t now = 0) { return chip.read_port(port, now); }
    void out(uint16_t port, unsigned value) { chip.write_port(port, static_cast<uint8_t>(value)); }
    void indexed(uint16_t port, unsigned index, unsigned value) {
        out(port, index);
        out(static_cast<uint16_t>(port + 1), value);
    }
    void attribute(unsigned index, unsigned value) {
        in(vga::kStatus1Colour);
        out(vga::kAttributeIndex, index);
        out(vga::kAttributeIndex, value);
        out(vga::kAttributeIndex, 0x20);
    }
    void crtc(unsigned index, unsigned value) { indexed(vga::kCrtcIndexColour, index, value); }
    void graphics(unsigned index, unsigned value) { indexed(vga::kGraphicsIndex, index, value); }
    void sequencer(unsigned index, unsigned value) { indexed(vga::kSequencerIndex, index, value); }
    void poke(uint32_t address, unsigned value) {
        (void)chip.write_memory(address - vga::kWindowStart, static_cast<uint8_t>(value));
    }
    uint8_t peek(uint32_t address) { return chip.read_memory(address - vga::kWindowStart); }
    void dispi_write(unsigned index, unsigned value) {
        (void)chip.write_dispi(index, static_cast<uint16_t>(value));
    }
    void dispi_mode(unsigned width, unsigned height, unsigned bpp) {
        out(vga::kMiscWrite, 0x63);
        in(vga::kStatus1Colour);
        out(vga::kAttributeIndex, 0x20);
        dispi_write(dispi::kEnable, 0);
        dispi_write(dispi::kXRes, width);
        dispi_write(dispi::kYRes, height);
        dispi_write(dispi::kBpp, bpp);
        dispi_write(dispi::kEnable, dispi::enable::kEnabled | dispi::enable::kLinear);
    }

    // Colour i of the DAC, six bits a part, and the pixel it makes.
    static std::array<uint8_t, 3> colour(unsigned i) {
        return {static_cast<uint8_t>(i & 63), static_cast<uint8_t>(i * 5 & 63),
                static_cast<uint8_t>(63 - (i >> 2))};
    }
    static uint32_t pixel(unsigned i) {
        uint32_t value = 0;
        for (const uint8_t part : colour(i)) value = value << 8 | (part * 4u + part / 16u);
        return value;
    }

    void set_mode(const VgaModeTable& mode) {
        out(vga::kMiscWrite, mode.misc);
        for (unsigned i = 0; i < 5; ++i) sequencer(i, mode.sequencer[i]);
        crtc(0x11, 0);
        for (unsigned i = 0; i < 25; ++i) crtc(i, mode.crtc[i]);
        for (unsigned i = 0; i < 9; ++i) graphics(i, mode.graphics[i]);
        for (unsigned i = 0; i < 21; ++i) attribute(i, mode.attribute[i]);
        out(vga::kDacMask, 0xff);
        out(vga::kDacWriteIndex, 0);
        for (unsigned i = 0; i < 256; ++i) {
            for (const uint8_t part : colour(i)) out(vga::kDacData, part);
        }
    }
    // A line of a character's shape, as the BIOS loads it: straight into plane 2.
    void glyph_line(unsigned character, unsigned line, unsigned bits, unsigned font = 0) {
        memory[4 * (font + character * 32 + line) + 2] = static_cast<std::byte>(bits);
    }
    void cell(unsigned column, unsigned row, unsigned character, unsigned attributes,
              unsigned columns = 80) {
        const uint32_t at = 0xb8000 + 2 * (row * columns + column);
        poke(at, character);
        poke(at + 1, attributes);
    }

    std::vector<Rect> draw(uint64_t frame = 0) {
        std::vector<uint64_t> dirty(kMemory / 4096 / 64);
        for (const size_t page : touched) dirty[page / 64] |= uint64_t{1} << page % 64;
        touched.clear();
        chip.memory().take_written(dirty);
        std::vector<Rect> changed;
        renderer.render(chip.registers(), chip.dispi(), memory, dirty, frame, surface, changed);
        return changed;
    }
    // As a processor writes to the linear frame buffer.
    void store(size_t offset, uint32_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) {
            memory[offset + i] = static_cast<std::byte>(value >> (8 * i));
        }
        touched.push_back(offset / 4096);
    }

    std::vector<std::byte> memory = std::vector<std::byte>(kMemory);
    std::vector<size_t> touched;
    Vga chip{memory};
    VgaRenderer renderer;
    Surface surface;
};

}  // namespace mynah
