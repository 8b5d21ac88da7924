#include "device/display/vga_timing.h"

#include <algorithm>

namespace mynah {

using namespace vga;

VgaTiming::VgaTiming(const VgaRegisters& registers, uint16_t height) {
    const auto& cr = registers.crtc;
    const uint8_t clocking = registers.sequencer[sequencer::kClocking];
    const bool fast = (registers.misc & misc::kClockSelect) == misc::kClock28MHz;
    clock_hz_ = fast ? 28'322'000 : 25'175'000;
    if ((clocking & sequencer::kHalfDotClock) != 0) clock_hz_ /= 2;

    const uint32_t character = (clocking & sequencer::kEightDots) != 0 ? 8 : 9;
    dots_ = (cr[crtc::kHorizontalTotal] + 5u) * character;
    display_dots_ = std::min((cr[crtc::kHorizontalDisplayEnd] + 1u) * character, dots_);
    const uint8_t overflow = cr[crtc::kOverflow];
    const auto ten_bits = [&](uint8_t low, unsigned bit8, unsigned bit9) {
        return low | (overflow >> bit8 & 1u) << 8 | (overflow >> bit9 & 1u) << 9;
    };
    lines_ = ten_bits(cr[crtc::kVerticalTotal], 0, 5) + 2;
    display_lines_ = ten_bits(cr[crtc::kVerticalDisplayEnd], 1, 6) + 1;
    retrace_start_ = ten_bits(cr[crtc::kRetraceStart], 2, 7);
    retrace_lines_ = (cr[crtc::kRetraceEnd] - retrace_start_) & 0xf;

    if (height != 0) {
        display_lines_ = height;
        retrace_start_ = display_lines_ + 3;
        retrace_lines_ = 3;
        lines_ = display_lines_ + display_lines_ / 20 + 8;
        display_dots_ = 800;
        dots_ = 1000;
        clock_hz_ = uint64_t{60} * lines_ * dots_;
    }
    // A guest that waits for a retrace its own registers put out of sight still sees one.
    display_lines_ = std::min(display_lines_, lines_ - 1);
    retrace_start_ = std::min(retrace_start_, lines_ - 1);
    retrace_lines_ = std::clamp(retrace_lines_, 1u, lines_ - retrace_start_);
}

uint64_t VgaTiming::clocks(uint64_t now_ns) const {
    constexpr uint64_t kSecond = 1'000'000'000;
    return now_ns / kSecond * clock_hz_ + now_ns % kSecond * clock_hz_ / kSecond;
}

uint8_t VgaTiming::status(uint64_t now_ns) const {
    const uint64_t in_frame = clocks(now_ns) % (uint64_t{dots_} * lines_);
    const uint64_t line = in_frame / dots_, dot = in_frame % dots_;
    uint8_t status = 0;
    if (line >= display_lines_ || dot >= display_dots_) status |= status1::kDisplayOff;
    if (line >= retrace_start_ && line < retrace_start_ + retrace_lines_) {
        status |= status1::kVerticalRetrace;
    }
    return status;
}

uint64_t VgaTiming::frame(uint64_t now_ns) const {
    return clocks(now_ns) / (uint64_t{dots_} * lines_);
}

}  // namespace mynah
