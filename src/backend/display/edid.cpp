#include "backend/display/edid.h"

#include <algorithm>
#include <span>
#include <string_view>

namespace mynah {
namespace {

using Block = std::array<uint8_t, 128>;

constexpr uint8_t low(unsigned value) { return static_cast<uint8_t>(value); }

// Reduced blanking [CVT 1.2 table 4, RB v1]: 160 clocks of horizontal blanking, at least 460 us of
// vertical blanking.
struct Timing {
    unsigned width, height, horizontal_blank = 160, vertical_blank, clock_10khz;
};
Timing reduced_blanking(unsigned width, unsigned height) {
    constexpr unsigned kRate = 60;
    // Line time from the height alone, then as many blank lines as last 460 us.
    const uint64_t line_ns = (1'000'000'000ull / kRate - 460'000) / std::max(height, 1u);
    const auto lines = static_cast<unsigned>(460'000 / std::max<uint64_t>(line_ns, 1) + 1);
    Timing timing{
        .width = width, .height = height, .vertical_blank = std::max(lines, 15u), .clock_10khz = 0};
    const uint64_t clock =
        uint64_t{width + timing.horizontal_blank} * (height + timing.vertical_blank) * kRate;
    timing.clock_10khz = static_cast<unsigned>(clock / 10'000);
    return timing;
}

// A detailed timing descriptor [EDID 1.4 3.10.2].
void detailed_timing(std::span<uint8_t, 18> to, const Timing& timing, unsigned width_mm,
                     unsigned height_mm) {
    constexpr unsigned kFrontPorch = 48, kSync = 32, kLinesBeforeSync = 3, kSyncLines = 6;
    to[0] = low(timing.clock_10khz);
    to[1] = low(timing.clock_10khz >> 8);
    to[2] = low(timing.width);
    to[3] = low(timing.horizontal_blank);
    to[4] = low((timing.width >> 8) << 4 | timing.horizontal_blank >> 8);
    to[5] = low(timing.height);
    to[6] = low(timing.vertical_blank);
    to[7] = low((timing.height >> 8) << 4 | timing.vertical_blank >> 8);
    to[8] = kFrontPorch;
    to[9] = kSync;
    to[10] = kLinesBeforeSync << 4 | kSyncLines;
    to[11] = 0;
    to[12] = low(width_mm);
    to[13] = low(height_mm);
    to[14] = low((width_mm >> 8) << 4 | height_mm >> 8);
    to[15] = to[16] = 0;
    to[17] = 0x1a;  // digital separate sync, horizontal positive
}

// A display descriptor [EDID 1.4 3.10.3].
void descriptor(std::span<uint8_t, 18> to, uint8_t tag) {
    std::fill(to.begin(), to.end(), uint8_t{0});
    to[3] = tag;
}

void text_descriptor(std::span<uint8_t, 18> to, uint8_t tag, std::string_view text) {
    descriptor(to, tag);
    std::fill(to.begin() + 5, to.end(), uint8_t{' '});
    const size_t length = std::min<size_t>(text.size(), 13);
    for (size_t i = 0; i < length; ++i) to[5 + i] = static_cast<uint8_t>(text[i]);
    if (length < 13) to[5 + length] = '\n';
}

// Ranges are told without a formula, so that any mode is offered [EDID 1.4 3.10.3.3].
void range_limits(std::span<uint8_t, 18> to) {
    descriptor(to, 0xfd);
    to[5] = 50;   // Hz, vertical, at least
    to[6] = 125;  // at most
    to[7] = 30;   // kHz, horizontal
    to[8] = 160;
    to[9] = 65;  // 650 MHz
    to[10] = 1;  // range limits only
    to[11] = '\n';
    std::fill(to.begin() + 12, to.end(), uint8_t{' '});
}

// Standard timings [EDID 1.4 3.9]: width and aspect ratio at 60 Hz.
void standard_timings(Block& block) {
    struct Mode {
        unsigned width;
        uint8_t aspect;  // 0: 16:10, 1: 4:3, 2: 5:4, 3: 16:9
    };
    constexpr std::array<Mode, 8> kModes{
        {{1920, 3}, {1600, 1}, {1680, 0}, {1280, 2}, {1440, 0}, {1280, 1}, {1280, 3}, {1024, 1}}};
    for (size_t i = 0; i < kModes.size(); ++i) {
        block[38 + 2 * i] = low(kModes[i].width / 8 - 31);
        block[39 + 2 * i] = static_cast<uint8_t>(kModes[i].aspect << 6);
    }
}

}  // namespace

std::array<uint8_t, 128> make_edid(const Monitor& monitor) {
    const unsigned width = std::clamp<unsigned>(monitor.preferred_width, 320, 4094) & ~1u;
    const unsigned height = std::clamp<unsigned>(monitor.preferred_height, 200, 4094) & ~1u;
    const unsigned dpi = std::clamp<unsigned>(monitor.dots_per_inch, 50, 600);
    const unsigned width_mm = std::min(width * 254 / (dpi * 10), 4095u);
    const unsigned height_mm = std::min(height * 254 / (dpi * 10), 4095u);

    Block block{0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
    // Manufacturer "MYN", five bits a letter, big-endian [EDID 1.4 3.4.1].
    constexpr unsigned kMaker = ('M' - '@') << 10 | ('Y' - '@') << 5 | ('N' - '@');
    block[8] = kMaker >> 8;
    block[9] = kMaker & 0xff;
    block[10] = 1;     // product
    block[16] = 0xff;  // no week: the model year follows
    block[17] = 2026 - 1990;
    block[18] = 1;
    block[19] = 4;
    block[20] = 0xa5;  // digital, 8 bits a colour, DisplayPort
    block[21] = low(std::min(width_mm / 10, 255u));
    block[22] = low(std::min(height_mm / 10, 255u));
    block[23] = 120;   // gamma 2.2
    block[24] = 0x06;  // sRGB, the first timing is the preferred one
    // Chromaticity of sRGB [EDID 1.4 3.7].
    constexpr std::array<uint8_t, 10> kChromaticity{0xee, 0x91, 0xa3, 0x54, 0x4c,
                                                    0x99, 0x26, 0x0f, 0x50, 0x54};
    std::copy(kChromaticity.begin(), kChromaticity.end(), block.begin() + 25);
    block[35] = 0x21;  // 640 x 480 and 800 x 600 at 60 Hz
    block[36] = 0x08;  // 1024 x 768 at 60 Hz
    standard_timings(block);
    detailed_timing(std::span<uint8_t, 18>(block.data() + 54, 18), reduced_blanking(width, height),
                    width_mm, height_mm);
    range_limits(std::span<uint8_t, 18>(block.data() + 72, 18));
    text_descriptor(std::span<uint8_t, 18>(block.data() + 90, 18), 0xfc, monitor.name);
    descriptor(std::span<uint8_t, 18>(block.data() + 108, 18), 0x10);  // unused
    unsigned sum = 0;
    for (const uint8_t byte : block) sum += byte;
    block[127] = low(256 - sum % 256);
    return block;
}

}  // namespace mynah
