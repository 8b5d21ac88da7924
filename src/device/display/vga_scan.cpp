#include "device/display/vga_scan.h"

#include <algorithm>

#include "base/bits.h"
#include "device/display/vga_palette.h"

namespace mynah {

using namespace vga;

namespace {

constexpr uint32_t kAddressMask = 0xffff;  // of one plane

unsigned ten_bits(const VgaRegisters& registers, unsigned low, unsigned bit8, unsigned bit9) {
    const uint8_t overflow = registers.crtc[crtc::kOverflow];
    return registers.crtc[low] | (overflow >> bit8 & 1u) << 8 | (overflow >> bit9 & 1u) << 9;
}

unsigned line_compare(const VgaRegisters& registers) {
    const auto& cr = registers.crtc;
    return cr[crtc::kLineCompare] | (cr[crtc::kOverflow] >> 4 & 1u) << 8 |
           (cr[crtc::kMaximumScanLine] >> 6 & 1u) << 9;
}

unsigned dots_of_character(const VgaRegisters& registers) {
    const bool eight = (registers.sequencer[sequencer::kClocking] & sequencer::kEightDots) != 0 ||
                       !VgaScan::is_text(registers);
    return eight ? 8 : 9;
}

unsigned panning(const VgaRegisters& registers, unsigned dots) {
    const unsigned value = registers.attribute[attribute::kPanning];
    if (dots == 9) return value >= 8 ? 0 : value + 1;
    return value & 7;
}

// Where in plane 2 the eight fonts lie [VGA 2-39].
uint32_t font_address(unsigned select) { return (select & 3) << 14 | (select & 4) << 11; }

}  // namespace

bool VgaScan::is_text(const VgaRegisters& registers) {
    return (registers.graphics[graphics::kMiscellaneous] & graphics::kGraphicsMode) == 0;
}

VgaScan::VgaScan(const VgaRegisters& registers, std::span<const std::byte> planes,
                 const std::array<uint32_t, 256>& dac, Blink blink)
    : registers_(registers),
      planes_(planes),
      dac_(dac),
      colours_(attribute_colours(registers, dac)),
      blink_(blink),
      text_(is_text(registers)),
      dots_(dots_of_character(registers)),
      dot_clocks_((registers.sequencer[sequencer::kClocking] & sequencer::kHalfDotClock) != 0 ? 2
                                                                                              : 1),
      characters_(registers.crtc[crtc::kHorizontalDisplayEnd] + 1u),
      width_(characters_ * dots_ * dot_clocks_),
      height_(ten_bits(registers, crtc::kVerticalDisplayEnd, 1, 6) + 1),
      line_compare_(line_compare(registers)) {
    const auto& cr = registers.crtc;
    const uint8_t preset = cr[crtc::kPresetRowScan];
    counter_ = (cr[crtc::kStartHigh] << 8 | cr[crtc::kStartLow]) + (preset >> 5 & 3u);
    row_scan_ = preset & 0x1f;
    panning_ = panning(registers, dots_);
}

uint32_t VgaScan::load(uint32_t address) const {
    return load_unaligned<uint32_t>(planes_.data() + size_t{4} * (address & kAddressMask));
}

// From the counter to the memory's address [VGA 2-72, 2-76]: byte, word and double-word addressing,
// and lines that take part in it as they did on the CGA and Hercules cards.
uint32_t VgaScan::memory_address(uint32_t counter) const {
    const uint8_t mode = registers_.crtc[crtc::kModeControl];
    uint32_t address = counter & kAddressMask;
    if ((registers_.crtc[crtc::kUnderline] & crtc::kDoubleWord) != 0) {
        address = address << 2 | (address >> 12 & 3);
    } else if ((mode & crtc::kByteMode) == 0) {
        const unsigned wrapped = (mode & crtc::kWrapA15) != 0 ? 15 : 13;
        address = address << 1 | (address >> wrapped & 1);
    }
    const auto take_from_row_scan = [&](unsigned position, unsigned row_scan_bit) {
        address = (address & ~(1u << position)) | (row_scan_ >> row_scan_bit & 1) << position;
    };
    if ((mode & crtc::kNotRowScanA13) == 0) take_from_row_scan(13, 0);
    if ((mode & crtc::kNotRowScanA14) == 0) take_from_row_scan(14, 1);
    return address & kAddressMask;
}

void VgaScan::text_cell(uint32_t address, uint32_t counter, uint32_t* dots) const {
    const uint32_t cell = load(address);
    const unsigned character = cell & 0xff, attribute = cell >> 8 & 0xff;
    const auto& cr = registers_.crtc;
    const uint8_t mode = registers_.attribute[attribute::kModeControl];
    const uint8_t map = registers_.sequencer[sequencer::kCharacterMap];
    // Attribute bit 3 chooses between the two fonts; they are usually the same one.
    const unsigned select =
        (attribute & 8) != 0 ? (map >> 2 & 3u) | (map >> 3 & 4u) : (map & 3u) | (map >> 2 & 4u);
    unsigned bits = load(font_address(select) + character * 32 + row_scan_) >> 16 & 0xff;

    unsigned foreground = attribute & 0xf, background = attribute >> 4;
    if ((mode & attribute::kBlink) != 0) {
        background &= 7;
        if ((attribute & 0x80) != 0 && !blink_.blink_shown) bits = 0;
    }
    const bool underlined = (mode & attribute::kMono) != 0 && (attribute & 7) == 1 &&
                            row_scan_ == (cr[crtc::kUnderline] & 0x1fu);
    const uint32_t at = static_cast<uint32_t>(cr[crtc::kCursorHigh] << 8 | cr[crtc::kCursorLow]);
    const bool cursor = blink_.cursor_shown && (counter & kAddressMask) == at &&
                        (cr[crtc::kCursorStart] & crtc::kCursorOff) == 0 &&
                        row_scan_ >= (cr[crtc::kCursorStart] & 0x1fu) &&
                        row_scan_ <= (cr[crtc::kCursorEnd] & 0x1fu);
    // The ninth dot continues the line-drawing characters to the next one [VGA 2-98].
    const bool continued = (mode & attribute::kLineGraphics) != 0 && (character & 0xe0) == 0xc0;
    unsigned shape = bits << 1 | (continued ? bits & 1 : 0);
    if (underlined || cursor) shape = 0x1ff;
    for (unsigned dot = 0; dot < dots_; ++dot) {
        dots[dot] = colours_[(shape >> (8 - dot) & 1) != 0 ? foreground : background];
    }
}

void VgaScan::graphics_cell(uint32_t planes, uint32_t* dots) const {
    const uint8_t mode = registers_.graphics[graphics::kMode];
    if ((mode & graphics::kShift256) != 0) {
        for (unsigned dot = 0; dot < 8; ++dot) {
            dots[dot] = dac_[planes >> (8 * (dot / 2)) & 0xff];
        }
    } else if ((mode & graphics::kInterleave) != 0) {
        // Pairs of bits from planes 0 and 1, one after the other, over pairs from 2 and 3.
        for (unsigned dot = 0; dot < 8; ++dot) {
            const unsigned shift = (dot / 4) * 8 + 6 - 2 * (dot % 4);
            dots[dot] = colours_[(planes >> shift & 3) | (planes >> (16 + shift) & 3) << 2];
        }
    } else {
        for (unsigned dot = 0; dot < 8; ++dot) {
            const uint32_t bits = planes >> (7 - dot);
            dots[dot] =
                colours_[(bits & 1) | (bits >> 7 & 2) | (bits >> 14 & 4) | (bits >> 21 & 8)];
        }
    }
}

void VgaScan::next_line(std::span<uint32_t> out) {
    std::array<uint32_t, (kCharacters + 1) * kDotsMost> dots;
    // One character more than is shown: panning moves it in.
    for (unsigned i = 0; i <= characters_; ++i) {
        const uint32_t counter = counter_ + i;
        uint32_t* const to = dots.data() + i * dots_;
        if (text_) {
            text_cell(memory_address(counter), counter, to);
        } else {
            graphics_cell(load(memory_address(counter)), to);
        }
    }
    const uint32_t* from = dots.data() + panning_;
    if (dot_clocks_ == 1) {
        std::copy_n(from, width_, out.begin());
    } else {
        for (uint32_t x = 0; x < width_; ++x) out[x] = from[x / 2];
    }
    advance();
}

void VgaScan::advance() {
    const auto& cr = registers_.crtc;
    const uint8_t maximum = cr[crtc::kMaximumScanLine];
    if (line_++ == line_compare_) {
        // The screen's second part shows the memory from its beginning [VGA 2-79].
        counter_ = 0;
        row_scan_ = 0;
        repeat_ = false;
        if ((registers_.attribute[attribute::kModeControl] & attribute::kPanningCompatible) != 0) {
            panning_ = 0;
        }
        return;
    }
    if ((maximum & crtc::kDoubleScan) != 0) {
        repeat_ = !repeat_;
        if (repeat_) return;
    }
    if (row_scan_ == (maximum & crtc::kScanLines)) {
        row_scan_ = 0;
        counter_ += cr[crtc::kOffset] * 2u;
    } else {
        row_scan_ = (row_scan_ + 1) & crtc::kScanLines;
    }
}

std::string VgaScan::text() {
    constexpr unsigned kMostRows = 128;
    std::string text;
    unsigned rows = 0;
    for (uint32_t y = 0; y < height_ && rows < kMostRows; ++y, advance()) {
        if (row_scan_ != 0 || repeat_) continue;
        std::string row;
        for (unsigned i = 0; i < characters_; ++i) {
            const auto character = static_cast<char>(load(memory_address(counter_ + i)) & 0xff);
            const bool blank = character == '\0' || character == ' ' || character == '\xff';
            row += blank ? ' ' : character > ' ' && character <= '~' ? character : '.';
        }
        row.erase(row.find_last_not_of(' ') + 1);
        text += row + "\n";
        ++rows;
    }
    return text;
}

void VgaScan::planar_line(uint32_t address, std::span<uint32_t> out) const {
    const uint32_t mask = static_cast<uint32_t>(planes_.size() / 4 - 1);
    for (size_t x = 0; x + 8 <= out.size(); x += 8) {
        const uint32_t at = (address + static_cast<uint32_t>(x / 8)) & mask;
        graphics_cell(load_unaligned<uint32_t>(planes_.data() + size_t{4} * at), &out[x]);
    }
}

}  // namespace mynah
