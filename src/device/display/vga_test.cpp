#include "device/display/vga.h"

#include <gtest/gtest.h>

#include "device/display/vga_fixture_test.h"

namespace mynah {
namespace {

using namespace vga;

TEST_F(VgaTest, RegistersKeepTheBitsThatExist) {
    set_mode(kMode3);
    sequencer(sequencer::kClocking, 0xff);
    EXPECT_EQ(in(kSequencerData), 0x3d);
    graphics(graphics::kMode, 0xff);
    EXPECT_EQ(in(kGraphicsData), 0x7b);
    graphics(0xd, 0xff);
    EXPECT_EQ(in(kGraphicsData), 0);
    EXPECT_EQ(in(kGraphicsIndex), 0xd);
    EXPECT_EQ(in(kMiscRead), 0x67);
    out(kStatus1Colour, 0xff);
    EXPECT_EQ(in(kFeatureRead), 3);
}

TEST_F(VgaTest, TheCrtcMovesWithTheColourBit) {
    out(kMiscWrite, 0x63);
    crtc(crtc::kStartLow, 0x12);
    EXPECT_EQ(in(kCrtcDataColour), 0x12);
    EXPECT_EQ(in(kCrtcDataMono), 0xff);
    EXPECT_EQ(in(kStatus1Mono), 0xff);
    out(kMiscWrite, 0x62);
    EXPECT_EQ(in(kCrtcDataColour), 0xff);
    EXPECT_EQ(in(kCrtcDataMono), 0x12);
    indexed(kCrtcIndexColour, crtc::kStartLow, 0x34);
    EXPECT_EQ(in(kCrtcDataMono), 0x12);
}

TEST_F(VgaTest, TimingRegistersCanBeProtected) {
    out(kMiscWrite, 0x63);
    crtc(crtc::kRetraceEnd, 0x80);
    crtc(crtc::kHorizontalTotal, 0x55);
    EXPECT_EQ(in(kCrtcDataColour), 0);
    crtc(crtc::kOverflow, 0xff);
    EXPECT_EQ(in(kCrtcDataColour), 0x10);
    crtc(crtc::kStartHigh, 0x55);
    EXPECT_EQ(in(kCrtcDataColour), 0x55);
    crtc(crtc::kRetraceEnd, 0x00);
    crtc(crtc::kHorizontalTotal, 0x55);
    EXPECT_EQ(in(kCrtcDataColour), 0x55);
}

TEST_F(VgaTest, AttributeIndexAndDataTakeTurns) {
    out(kMiscWrite, 0x63);
    in(kStatus1Colour);
    out(kAttributeIndex, 0x13);
    out(kAttributeIndex, 0xff);
    EXPECT_EQ(in(kAttributeData), 0x0f);
    EXPECT_EQ(in(kAttributeIndex), 0x13);
    out(kAttributeIndex, 0x31);  // an index again, with the video enabled
    EXPECT_EQ(in(kAttributeIndex), 0x31);
    in(kStatus1Colour);  // the next is an index, whatever came before
    out(kAttributeIndex, 0x05);
    EXPECT_EQ(in(kAttributeIndex), 0x05);
    out(kAttributeIndex, 0xff);
    EXPECT_EQ(in(kAttributeData), 0x3f);
}

TEST_F(VgaTest, DacCountsThroughPartsAndEntries) {
    out(kDacWriteIndex, 0xff);
    for (const unsigned value : {1, 2, 0x43, 4, 5, 6}) out(kDacData, value);
    EXPECT_EQ(in(kDacWriteIndex), 1);
    out(kDacReadIndex, 0xff);
    EXPECT_EQ(in(kDacReadIndex), 3);
    for (const unsigned value : {1, 2, 3, 4, 5, 6}) EXPECT_EQ(in(kDacData), value);
    out(kDacWriteIndex, 0);
    EXPECT_EQ(in(kDacReadIndex), 0);
    dispi_write(dispi::kEnable, dispi::enable::kEightBitDac);
    out(kDacData, 0xc3);
    out(kDacReadIndex, 0);
    EXPECT_EQ(in(kDacData), 0xc3);
}

// Mode 12h: 25.175 MHz, 800 dots by 525 lines, 640 by 480 of them shown, retrace at lines 490, 491.
TEST_F(VgaTest, StatusFollowsTheBeam) {
    set_mode(kMode12);
    const double dot_ns = 1e9 / 25'175'000;
    const auto status = [&](unsigned line, unsigned dot, unsigned frame = 0) {
        const double dots = (frame * 525.0 + line) * 800.0 + dot + 0.5;
        return in(kStatus1Colour, static_cast<uint64_t>(dots * dot_ns));
    };
    EXPECT_EQ(status(0, 0), 0);
    EXPECT_EQ(status(0, 639), 0);
    EXPECT_EQ(status(0, 640), status1::kDisplayOff);
    EXPECT_EQ(status(0, 799), status1::kDisplayOff);
    EXPECT_EQ(status(1, 0), 0);
    EXPECT_EQ(status(479, 639), 0);
    EXPECT_EQ(status(480, 0), status1::kDisplayOff);
    EXPECT_EQ(status(489, 799), status1::kDisplayOff);
    EXPECT_EQ(status(490, 0), status1::kDisplayOff | status1::kVerticalRetrace);
    EXPECT_EQ(status(491, 799), status1::kDisplayOff | status1::kVerticalRetrace);
    EXPECT_EQ(status(492, 0), status1::kDisplayOff);
    EXPECT_EQ(status(524, 700), status1::kDisplayOff);
    EXPECT_EQ(status(0, 3, 1000), 0);
    EXPECT_EQ(status(490, 3, 1000), status1::kDisplayOff | status1::kVerticalRetrace);
}

TEST_F(VgaTest, EveryModeHasARetrace) {
    // Registers as they never should be: all zero, all one, retrace after the end.
    for (const unsigned fill : {0x00, 0xff}) {
        out(kMiscWrite, 0x63);
        crtc(crtc::kRetraceEnd, 0);
        for (unsigned i = 0; i < 25; ++i) {
            if (i != crtc::kRetraceEnd) crtc(i, fill);
        }
        bool off = false, on = false;
        for (uint64_t now = 0; now < 250'000'000; now += 2'000) {
            const bool retrace = (in(kStatus1Colour, now) & status1::kVerticalRetrace) != 0;
            (retrace ? on : off) = true;
        }
        EXPECT_TRUE(on) << fill;
        EXPECT_TRUE(off) << fill;
    }
}

TEST_F(VgaTest, ResetForgetsTheModeAndKeepsMemory) {
    set_mode(kMode13);
    poke(0xa0000, 0x42);
    chip.reset();
    EXPECT_EQ(chip.registers(), VgaRegisters());
    EXPECT_EQ(memory[0], std::byte{0x42});
    EXPECT_EQ(peek(0xa0000), 0xff);  // memory is off
}

// --- Memory.

TEST_F(VgaTest, WindowsOfTheMemoryMap) {
    set_mode(kMode12);
    const auto answers = [&](uint32_t address) {
        poke(address, 0x5a);
        const bool there = peek(address) == 0x5a;
        poke(address, 0);
        return there;
    };
    const std::array<uint32_t, 8> edges{0xa0000, 0xaffff, 0xb0000, 0xb7fff,
                                        0xb8000, 0xbffff, 0xa8000, 0xb4000};
    const std::array<unsigned, 4> expected{0b11111111, 0b01000011, 0b10001100, 0b00110000};
    for (unsigned map = 0; map < 4; ++map) {
        graphics(graphics::kMiscellaneous, 1 | map << 2);
        for (unsigned i = 0; i < edges.size(); ++i) {
            EXPECT_EQ(answers(edges[i]), (expected[map] >> i & 1) != 0) << map << " " << i;
        }
    }
    out(kMiscWrite, 0x61);
    EXPECT_EQ(peek(0xb8000), 0xff);
}

class VgaPlanesTest : public VgaTest {
  protected:
    void SetUp() override { set_mode(kMode12); }
    void planes(unsigned address, std::array<unsigned, 4> values) {
        for (unsigned p = 0; p < 4; ++p) memory[4 * address + p] = std::byte(values[p]);
    }
    std::array<unsigned, 4> planes(unsigned address) {
        std::array<unsigned, 4> values;
        for (unsigned p = 0; p < 4; ++p) values[p] = unsigned(memory[4 * address + p]);
        return values;
    }
    using Four = std::array<unsigned, 4>;
};

TEST_F(VgaPlanesTest, WriteMode0RotatesSetsAndMasks) {
    planes(5, {0x11, 0x22, 0x33, 0x44});
    poke(0xa0005, 0x81);
    EXPECT_EQ(planes(5), (Four{0x81, 0x81, 0x81, 0x81}));
    graphics(graphics::kRotate, 1);
    poke(0xa0005, 0x81);
    EXPECT_EQ(planes(5), (Four{0xc0, 0xc0, 0xc0, 0xc0}));
    graphics(graphics::kRotate, 0);
    // Planes 0 and 2 take set/reset, where plane 2 is set.
    graphics(graphics::kEnableSetReset, 0b0101);
    graphics(graphics::kSetReset, 0b1100);
    poke(0xa0005, 0x3c);
    EXPECT_EQ(planes(5), (Four{0x00, 0x3c, 0xff, 0x3c}));
    // Only the bits of the mask change; the others come from the latches.
    planes(5, {0x0f, 0x0f, 0x0f, 0x0f});
    peek(0xa0005);
    graphics(graphics::kEnableSetReset, 0);
    graphics(graphics::kBitMask, 0x3c);
    poke(0xa0006, 0xff);
    EXPECT_EQ(planes(6), (Four{0x3f, 0x3f, 0x3f, 0x3f}));
    sequencer(sequencer::kMapMask, 0b0010);
    poke(0xa0006, 0x00);
    EXPECT_EQ(planes(6), (Four{0x3f, 0x03, 0x3f, 0x3f}));
}

TEST_F(VgaPlanesTest, LogicalFunctionsWithTheLatches) {
    planes(1, {0x0f, 0x33, 0x55, 0xff});
    peek(0xa0001);
    graphics(graphics::kRotate, 1 << 3);
    poke(0xa0002, 0x3c);
    EXPECT_EQ(planes(2), (Four{0x0c, 0x30, 0x14, 0x3c}));
    graphics(graphics::kRotate, 2 << 3);
    poke(0xa0002, 0x3c);
    EXPECT_EQ(planes(2), (Four{0x3f, 0x3f, 0x7d, 0xff}));
    graphics(graphics::kRotate, 3 << 3);
    poke(0xa0002, 0x3c);
    EXPECT_EQ(planes(2), (Four{0x33, 0x0f, 0x69, 0xc3}));
}

TEST_F(VgaPlanesTest, WriteMode1CopiesLatches) {
    planes(7, {1, 2, 3, 4});
    peek(0xa0007);
    graphics(graphics::kMode, 1);
    graphics(graphics::kBitMask, 0);  // without effect
    sequencer(sequencer::kMapMask, 0b0111);
    poke(0xa0008, 0xee);
    EXPECT_EQ(planes(8), (Four{1, 2, 3, 0}));
}

TEST_F(VgaPlanesTest, WriteMode2SpreadsAColour) {
    planes(9, {0xaa, 0xaa, 0xaa, 0xaa});
    peek(0xa0009);
    graphics(graphics::kMode, 2);
    graphics(graphics::kBitMask, 0x0f);
    poke(0xa0009, 0b1001);
    EXPECT_EQ(planes(9), (Four{0xaf, 0xa0, 0xa0, 0xaf}));
}

TEST_F(VgaPlanesTest, WriteMode3MasksWithTheData) {
    planes(9, {0xaa, 0xaa, 0xaa, 0xaa});
    peek(0xa0009);
    graphics(graphics::kMode, 3);
    graphics(graphics::kSetReset, 0b0110);
    graphics(graphics::kBitMask, 0x3f);
    graphics(graphics::kRotate, 4);
    poke(0xa0009, 0xf0);  // rotated 0fh, masked 0fh
    EXPECT_EQ(planes(9), (Four{0xa0, 0xaf, 0xaf, 0xa0}));
}

TEST_F(VgaPlanesTest, ReadModes) {
    planes(3, {0x10, 0x21, 0x42, 0x84});
    for (unsigned plane = 0; plane < 4; ++plane) {
        graphics(graphics::kReadMap, plane);
        EXPECT_EQ(peek(0xa0003), planes(3)[plane]);
    }
    // Colours of the eight pixels, from bit 7 on: 8 4 2 1 0 8 4 2.
    graphics(graphics::kMode, 8);
    graphics(graphics::kColourCompare, 8);
    graphics(graphics::kColourDontCare, 0xf);
    EXPECT_EQ(peek(0xa0003), 0x84);
    graphics(graphics::kColourCompare, 4);
    EXPECT_EQ(peek(0xa0003), 0x42);
    graphics(graphics::kColourCompare, 0);
    EXPECT_EQ(peek(0xa0003), 0x08);
    graphics(graphics::kColourDontCare, 0b0011);  // planes 2 and 3 do not count
    EXPECT_EQ(peek(0xa0003), 0xce);
    graphics(graphics::kColourDontCare, 0);
    EXPECT_EQ(peek(0xa0003), 0xff);
}

TEST_F(VgaPlanesTest, Chain4AndOddEvenAddresses) {
    set_mode(kMode13);
    for (unsigned i = 0; i < 8; ++i) poke(0xa0004 + i, 0x10 + i);
    EXPECT_EQ(planes(4), (Four{0x10, 0x11, 0x12, 0x13}));
    EXPECT_EQ(planes(8), (Four{0x14, 0x15, 0x16, 0x17}));
    EXPECT_EQ(peek(0xa000a), 0x16);
    set_mode(kMode3);
    poke(0xb8002, 0x41);
    poke(0xb8003, 0x07);
    EXPECT_EQ(unsigned(memory[8]), 0x41u);
    EXPECT_EQ(unsigned(memory[9]), 0x07u);
    EXPECT_EQ(peek(0xb8002), 0x41);
    EXPECT_EQ(peek(0xb8003), 0x07);
    out(kMiscWrite, 0x47);  // the other page
    EXPECT_EQ(peek(0xb8002), 0);
    poke(0xb8002, 0x42);
    EXPECT_EQ(unsigned(memory[12]), 0x42u);
}

}  // namespace
}  // namespace mynah
