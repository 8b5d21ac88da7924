#include "device/display/vga_renderer.h"

#include <gtest/gtest.h>

#include "device/display/vga_fixture_test.h"

namespace mynah {
namespace {

using namespace vga;

class VgaTextTest : public VgaTest {
  protected:
    void SetUp() override {
        set_mode(kMode3);
        crtc(crtc::kCursorHigh, 0xff);  // out of sight
        glyph_line('A', 0, 0x81);
        glyph_line('A', 15, 0x10);
        glyph_line(0xc4, 0, 0x01);
        glyph_line(0xb3, 0, 0x01);
    }
    void expect_dots(uint32_t x, uint32_t y, const char* shape, unsigned fore, unsigned back) {
        for (uint32_t i = 0; shape[i] != 0; ++i) {
            EXPECT_EQ(surface.at(x + i, y), pixel(shape[i] == '#' ? fore : back))
                << "at " << x + i << "," << y;
        }
    }
};

TEST_F(VgaTextTest, CharactersHaveNineDots) {
    cell(0, 0, 'A', 0x1e);
    cell(79, 24, 'A', 0x42);
    draw();
    EXPECT_EQ(surface.width(), 720u);
    EXPECT_EQ(surface.height(), 400u);
    expect_dots(0, 0, "#......#.", 14, 1);
    expect_dots(0, 1, ".........", 14, 1);
    expect_dots(0, 15, "...#.....", 14, 1);
    expect_dots(9, 0, ".........", 0, 0);
    expect_dots(711, 384, "#......#.", 2, 4);
}

TEST_F(VgaTextTest, LineDrawingGoesOnIntoTheNinthDot) {
    cell(0, 0, 0xc4, 0x07);
    cell(1, 0, 0xb3, 0x07);  // not one of those
    draw();
    expect_dots(0, 0, ".......##.......#.", 7, 0);
    attribute(attribute::kModeControl, 0x08);
    draw();
    expect_dots(0, 0, ".......#........#.", 7, 0);
}

TEST_F(VgaTextTest, EightDots) {
    sequencer(sequencer::kClocking, 1);
    attribute(attribute::kPanning, 0);
    cell(1, 0, 'A', 0x07);
    draw();
    EXPECT_EQ(surface.width(), 640u);
    expect_dots(0, 0, "........#......#........", 7, 0);
}

TEST_F(VgaTextTest, BlinkingOrBrightBackground) {
    cell(0, 0, 'A', 0x9e);
    draw(0);
    expect_dots(0, 0, "#......#.", 14, 1);
    EXPECT_TRUE(draw(7).empty());
    draw(16);
    expect_dots(0, 0, ".........", 14, 1);
    draw(32);
    expect_dots(0, 0, "#......#.", 14, 1);
    attribute(attribute::kModeControl, 0x04);
    draw(48);
    expect_dots(0, 0, "#......#.", 14, 9);
}

TEST_F(VgaTextTest, CursorBlinksWhereItIs) {
    cell(2, 1, ' ', 0x2f);
    crtc(crtc::kCursorHigh, 0);
    crtc(crtc::kCursorLow, 82);
    draw(0);
    expect_dots(18, 16 + 12, ".........", 15, 2);
    expect_dots(18, 16 + 13, "#########", 15, 2);
    expect_dots(18, 16 + 14, "#########", 15, 2);
    expect_dots(18, 16 + 15, ".........", 15, 2);
    const std::vector<Rect> hidden = draw(8);
    EXPECT_EQ(hidden, (std::vector<Rect>{{18, 29, 9, 2}}));
    expect_dots(18, 16 + 13, ".........", 15, 2);
    draw(16);
    expect_dots(18, 16 + 13, "#########", 15, 2);
    crtc(crtc::kCursorStart, 0x2d);
    draw(16);
    expect_dots(18, 16 + 13, ".........", 15, 2);
}

TEST_F(VgaTextTest, FortyColumnsHaveWideDots) {
    set_mode(kMode1);
    crtc(crtc::kCursorHigh, 0xff);
    cell(1, 1, 'A', 0x07, 40);
    draw();
    EXPECT_EQ(surface.width(), 720u);
    EXPECT_EQ(surface.height(), 400u);
    expect_dots(18, 16, "##............##..", 7, 0);
}

TEST_F(VgaTextTest, StartAddressAndSplitScreen) {
    cell(0, 0, 'A', 0x01);
    cell(0, 1, 'A', 0x02);
    cell(0, 2, 'A', 0x03);
    crtc(crtc::kStartLow, 80);
    draw();
    expect_dots(0, 0, "#......#.", 2, 0);
    expect_dots(0, 16, "#......#.", 3, 0);
    // Lines after the 20th show the memory from its beginning.
    crtc(crtc::kLineCompare, 19);
    crtc(crtc::kOverflow, 0x0f);
    crtc(crtc::kMaximumScanLine, 0x0f);
    draw();
    expect_dots(0, 16, "#......#.", 3, 0);
    expect_dots(0, 20, "#......#.", 1, 0);
    expect_dots(0, 36, "#......#.", 2, 0);
}

TEST_F(VgaTextTest, Panning) {
    cell(0, 0, 'A', 0x07);
    cell(1, 0, 'A', 0x07);
    attribute(attribute::kPanning, 2);  // by three dots
    draw();
    expect_dots(0, 0, "....#.#......#.", 7, 0);
    attribute(attribute::kPanning, 8);
    crtc(crtc::kPresetRowScan, 15);  // half a row up
    draw();
    expect_dots(0, 0, "...#.....", 7, 0);
}

TEST_F(VgaTextTest, TwoFonts) {
    glyph_line('A', 0, 0x7e, 0x4000);
    glyph_line('A', 0, 0x18, 0x2000);
    sequencer(sequencer::kCharacterMap, 0x04);
    cell(0, 0, 'A', 0x07);
    cell(1, 0, 'A', 0x0f);
    draw();
    expect_dots(0, 0, "#......#.", 7, 0);
    expect_dots(9, 0, ".######..", 15, 0);
    sequencer(sequencer::kCharacterMap, 0x10);
    draw();
    expect_dots(0, 0, "...##....", 7, 0);
    expect_dots(9, 0, "#......#.", 15, 0);
}

TEST_F(VgaTextTest, OnlyWhatDiffersIsReported) {
    EXPECT_EQ(draw(), (std::vector<Rect>{{0, 0, 720, 400}}));
    EXPECT_TRUE(draw().empty());
    cell(3, 2, 'A', 0x07);
    EXPECT_EQ(draw(), (std::vector<Rect>{{27, 32, 8, 1}, {30, 47, 1, 1}}));
    cell(3, 2, 'A', 0x07);  // the same again
    EXPECT_TRUE(draw().empty());
}

TEST_F(VgaTextTest, BlankedScreenIsBlack) {
    cell(0, 0, 'A', 0x1e);
    draw();
    in(kStatus1Colour);
    out(kAttributeIndex, 0x00);
    draw();
    EXPECT_EQ(surface.width(), 720u);
    EXPECT_EQ(surface.at(0, 0), 0u);
    in(kStatus1Colour);
    out(kAttributeIndex, 0x20);
    draw();
    expect_dots(0, 0, "#......#.", 14, 1);
    sequencer(sequencer::kClocking, 0x20);
    draw();
    EXPECT_EQ(surface.at(0, 0), 0u);
}

TEST_F(VgaTest, BeforeAnyModeThereIsABlackPicture) {
    EXPECT_EQ(draw(), (std::vector<Rect>{{0, 0, 720, 400}}));
    EXPECT_EQ(surface.at(719, 399), 0u);
    EXPECT_TRUE(draw().empty());
}

TEST_F(VgaTest, SixteenColoursInPlanes) {
    set_mode(kMode12);
    for (unsigned plane = 0; plane < 4; ++plane) {
        sequencer(sequencer::kMapMask, 1u << plane);
        // Pixels 16 to 23 of line 3 have the colours 0 to 7, then 15 to 8 reversed.
        const std::array<unsigned, 4> bits{0b01010101, 0b00110011, 0b00001111, 0b00000000};
        poke(0xa0000 + 3 * 80 + 2, bits[plane]);
    }
    sequencer(sequencer::kMapMask, 0x8);
    poke(0xa0000 + 479 * 80 + 79, 0x01);
    draw();
    EXPECT_EQ(surface.width(), 640u);
    EXPECT_EQ(surface.height(), 480u);
    for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(surface.at(16 + i, 3), pixel(i));
    EXPECT_EQ(surface.at(639, 479), pixel(8));
    EXPECT_EQ(surface.at(638, 479), pixel(0));
    // The attribute controller in between: plane enable, palette, colour select.
    attribute(attribute::kPlaneEnable, 0x7);
    attribute(0, 0x2a);
    attribute(attribute::kColourSelect, 0x0d);
    draw();
    EXPECT_EQ(surface.at(639, 479), pixel(0x2a | 0xc0));
    attribute(attribute::kModeControl, 0x81);
    draw();
    EXPECT_EQ(surface.at(639, 479), pixel(0x0a | 0x10 | 0xc0));
}

TEST_F(VgaTest, Mode13hHasLargePixels) {
    set_mode(kMode13);
    poke(0xa0000, 200);
    poke(0xa0000 + 320 * 199 + 319, 201);
    poke(0xa0000 + 320 * 100 + 161, 202);
    draw();
    EXPECT_EQ(surface.width(), 640u);
    EXPECT_EQ(surface.height(), 400u);
    for (unsigned y = 0; y < 2; ++y) {
        for (unsigned x = 0; x < 2; ++x) {
            EXPECT_EQ(surface.at(x, y), pixel(200));
            EXPECT_EQ(surface.at(638 + x, 398 + y), pixel(201));
            EXPECT_EQ(surface.at(322 + x, 200 + y), pixel(202));
        }
    }
    EXPECT_EQ(surface.at(2, 0), pixel(0));
    EXPECT_EQ(surface.at(0, 2), pixel(0));
    EXPECT_EQ(surface.at(324, 200), pixel(0));
    out(kDacMask, 0x0f);
    draw();
    EXPECT_EQ(surface.at(0, 0), pixel(200 & 0x0f));
}

// 320 x 240 with 256 colours: planes unchained, every fourth pixel in one [Abrash, mode X].
TEST_F(VgaTest, ModeX) {
    set_mode(kMode13);
    out(kMiscWrite, 0xe3);
    sequencer(sequencer::kMemoryMode, 0x06);
    crtc(crtc::kRetraceEnd, 0x2c);
    const std::array<std::array<unsigned, 2>, 9> changes{{{0x06, 0x0d},
                                                          {0x07, 0x3e},
                                                          {0x09, 0x41},
                                                          {0x10, 0xea},
                                                          {0x11, 0xac},
                                                          {0x12, 0xdf},
                                                          {0x14, 0x00},
                                                          {0x15, 0xe7},
                                                          {0x17, 0xe3}}};
    for (const auto& [index, value] : changes) crtc(index, value);
    for (unsigned plane = 0; plane < 4; ++plane) {
        sequencer(sequencer::kMapMask, 1u << plane);
        poke(0xa0000 + 239 * 80 + 79, 0x60 + plane);
    }
    draw();
    EXPECT_EQ(surface.width(), 640u);
    EXPECT_EQ(surface.height(), 480u);
    for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(surface.at(632 + i, 478), pixel(0x60 + i / 2));
    EXPECT_EQ(surface.at(632, 477), pixel(0));
    // A page beyond the first 64 KiB of pixels, which chain 4 could not reach.
    crtc(crtc::kStartHigh, 19200 >> 8);
    crtc(crtc::kStartLow, 19200 & 0xff);
    sequencer(sequencer::kMapMask, 0xf);
    poke(0xa0000 + 19200, 0x77);
    draw();
    EXPECT_EQ(surface.at(0, 0), pixel(0x77));
}

TEST_F(VgaTest, CgaFourColours) {
    set_mode(kMode4);
    poke(0xb8000, 0b00'01'10'11);
    poke(0xb8000 + 0x2000 + 80 * 99 + 79, 0b11'00'00'10);
    draw();
    EXPECT_EQ(surface.width(), 640u);
    EXPECT_EQ(surface.height(), 400u);
    const std::array<unsigned, 4> palette{0x00, 0x13, 0x15, 0x17};
    for (unsigned x = 0; x < 8; ++x) {
        EXPECT_EQ(surface.at(x, 0), pixel(palette[x / 2]));
        EXPECT_EQ(surface.at(x, 1), pixel(palette[x / 2]));
        EXPECT_EQ(surface.at(x, 2), pixel(0));
    }
    EXPECT_EQ(surface.at(639, 399), pixel(0x15));
    EXPECT_EQ(surface.at(632, 398), pixel(0x17));
    EXPECT_EQ(surface.at(632, 397), pixel(0));
}

TEST_F(VgaTest, CgaTwoColours) {
    set_mode(kMode6);
    poke(0xb8000 + 1, 0x81);
    poke(0xb8000 + 0x2000 + 80 * 99 + 79, 0x01);
    draw();
    EXPECT_EQ(surface.width(), 640u);
    EXPECT_EQ(surface.height(), 400u);
    EXPECT_EQ(surface.at(8, 0), pixel(0x17));
    EXPECT_EQ(surface.at(8, 1), pixel(0x17));
    EXPECT_EQ(surface.at(9, 0), pixel(0));
    EXPECT_EQ(surface.at(15, 0), pixel(0x17));
    EXPECT_EQ(surface.at(8, 2), pixel(0));
    EXPECT_EQ(surface.at(639, 399), pixel(0x17));
}

// --- The Bochs interface.

TEST_F(VgaTest, LinearDepths) {
    struct Case {
        unsigned bpp, bytes, value;
        uint32_t expected;
    };
    const std::array<Case, 4> cases{{{15, 2, 0x7c1f, 0xff00ff},
                                     {16, 2, 0x87e1, 0x84ff08},
                                     {24, 3, 0x123456, 0x123456},
                                     {32, 4, 0xab123456, 0x123456}}};
    for (const Case& c : cases) {
        dispi_mode(320, 240, c.bpp);
        store(c.bytes * (320 * 7 + 5), c.value, c.bytes);
        draw();
        EXPECT_EQ(surface.width(), 320u);
        EXPECT_EQ(surface.height(), 240u);
        EXPECT_EQ(surface.at(5, 7), c.expected) << c.bpp;
        EXPECT_EQ(surface.at(6, 7), 0u) << c.bpp;
    }
    dispi_mode(320, 240, 8);
    out(kDacWriteIndex, 7);
    for (const unsigned part : {0x3f, 0x00, 0x20}) out(kDacData, part);
    store(320 + 1, 7, 1);
    draw();
    EXPECT_EQ(surface.at(1, 1), 0xff0082u);
    dispi_write(dispi::kEnable, 1 | dispi::enable::kEightBitDac);
    draw();
    EXPECT_EQ(surface.at(1, 1), 0x3f0020u);
}

TEST_F(VgaTest, LinearChangesFollowThePagesWrittenTo) {
    dispi_mode(512, 300, 32);  // two lines a page
    draw();
    store(4 * (512 * 100 + 3), 0x010203, 4);
    store(4 * (512 * 101 + 4), 0x010203, 4);
    // A write nobody told of is not looked for.
    memory[4 * (512 * 200)] = std::byte{0xff};
    EXPECT_EQ(draw(), (std::vector<Rect>{{3, 100, 2, 2}}));
    EXPECT_EQ(surface.at(0, 200), 0u);
    store(4 * (512 * 201 + 4), 0, 4);
    EXPECT_EQ(draw(), (std::vector<Rect>{{0, 200, 1, 1}}));
}

TEST_F(VgaTest, OffsetsAndVirtualSize) {
    dispi_mode(320, 240, 32);
    dispi_write(dispi::kVirtualWidth, 400);
    EXPECT_EQ(chip.read_dispi(dispi::kVirtualWidth), 400);
    EXPECT_EQ(chip.read_dispi(dispi::kVirtualHeight), (1 << 20) / 1600);
    dispi_write(dispi::kXOffset, 10);
    dispi_write(dispi::kYOffset, 20);
    store(1600 * 21 + 4 * 12, 0xaabbcc, 4);
    draw();
    EXPECT_EQ(surface.at(2, 1), 0xaabbccu);
    // Outside of the memory there is nothing to be seen.
    dispi_write(dispi::kYOffset, 0xffff);
    draw();
    EXPECT_EQ(surface.at(2, 1), 0u);
    dispi_write(dispi::kVirtualWidth, 4000);  // does not fit
    EXPECT_EQ(chip.read_dispi(dispi::kVirtualWidth), 320);
}

TEST_F(VgaTest, BanksReachAllMemory) {
    dispi_mode(640, 400, 24);
    dispi_write(dispi::kBank, 11);
    poke(0xa1234, 0x5a);
    EXPECT_EQ(memory[11 * 65536 + 0x1234], std::byte{0x5a});
    EXPECT_EQ(peek(0xa1234), 0x5a);
    EXPECT_EQ(peek(0xb0000), 0xff);
    dispi_write(dispi::kBank, 16);  // there is no such bank
    EXPECT_EQ(chip.read_dispi(dispi::kBank), 11);
    draw();
    EXPECT_EQ(surface.at((11 * 65536 + 0x1234) % 1920 / 3, (11 * 65536 + 0x1234) / 1920) != 0,
              true);
}

TEST_F(VgaTest, SixteenColoursByTheBochsInterface) {
    set_mode(kMode12);
    dispi_mode(800, 600, 4);
    out(kMiscWrite, 0xe3);
    sequencer(sequencer::kMapMask, 0xa);
    poke(0xa0000 + 599 * 100 + 99, 0x01);
    draw();
    EXPECT_EQ(surface.width(), 800u);
    EXPECT_EQ(surface.height(), 600u);
    EXPECT_EQ(surface.at(799, 599), pixel(10));
    EXPECT_EQ(surface.at(798, 599), pixel(0));
}

TEST_F(VgaTest, ModesThatCannotBeAreNotSet) {
    EXPECT_EQ(chip.read_dispi(dispi::kId), 0xb0c5);
    dispi_write(dispi::kId, 0xb0c2);
    EXPECT_EQ(chip.read_dispi(dispi::kId), 0xb0c2);
    dispi_write(dispi::kId, 0x1234);
    EXPECT_EQ(chip.read_dispi(dispi::kId), 0xb0c2);
    EXPECT_EQ(chip.read_dispi(dispi::kMemory64K), 16);
    dispi_write(dispi::kBpp, 13);
    EXPECT_EQ(chip.read_dispi(dispi::kBpp), 8);
    dispi_mode(0xffff, 0xffff, 32);
    EXPECT_LE(uint64_t{chip.dispi().pitch()} * chip.read_dispi(dispi::kYRes), kMemory);
    dispi_mode(1024, 768, 32);  // 3 MiB
    EXPECT_EQ(chip.read_dispi(dispi::kYRes), 256);
    dispi_write(dispi::kXRes, 320);  // not while it is on
    EXPECT_EQ(chip.read_dispi(dispi::kXRes), 1024);
    dispi_write(dispi::kEnable, dispi::enable::kGetCapabilities);
    EXPECT_EQ(chip.read_dispi(dispi::kXRes), Dispi::kMaximumWidth);
    EXPECT_EQ(chip.read_dispi(dispi::kBpp), 32);
}

TEST_F(VgaTest, SwitchingOnClearsUnlessToldOtherwise) {
    store(100, 0x55, 1);
    dispi_mode(320, 240, 8);
    EXPECT_EQ(memory[100], std::byte{0});
    store(100, 0x55, 1);
    dispi_write(dispi::kEnable, 0);
    dispi_write(dispi::kEnable, 1 | dispi::enable::kKeepMemory);
    EXPECT_EQ(memory[100], std::byte{0x55});
    dispi_write(dispi::kEnable, 1);  // it was on
    EXPECT_EQ(memory[100], std::byte{0x55});
}

TEST_F(VgaTest, WhatIsWrittenOnTheScreen) {
    const auto text = [this] { return screen_text(chip.registers(), chip.dispi(), memory); };
    EXPECT_EQ(text(), "the screen is off\n");
    set_mode(kMode3);
    EXPECT_EQ(text(), "the screen is empty\n");
    const std::string hello = "Kernel panic";
    for (unsigned i = 0; i < hello.size(); ++i)
        cell(2 + i, 1, static_cast<uint8_t>(hello[i]), 7);
    cell(0, 24, 0xb0, 7);
    cell(79, 24, 'x', 7);
    EXPECT_EQ(text(), "\n  Kernel panic\n" + std::string(22, '\n') + "." + std::string(78, ' ') +
                          "x\n");
    crtc(0x0d, 80);  // scrolled by a row
    EXPECT_TRUE(text().starts_with("  Kernel panic\n"));
    set_mode(kMode12);
    EXPECT_EQ(text(), "graphics, 640 x 480\n");
    dispi_mode(640, 400, 32);
    EXPECT_EQ(text(), "graphics, 640 x 400 with 32 bits a pixel\n");
}

}  // namespace
}  // namespace mynah
