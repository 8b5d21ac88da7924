#include "device/display/dispi.h"

#include <algorithm>

#include "spec/vga/dispi_registers.h"

namespace mynah {

using namespace dispi;

void Dispi::reset() {
    state_ = {};
    id_ = kIdLatest;
}

bool Dispi::enabled() const { return (state_.enable & enable::kEnabled) != 0; }

bool Dispi::eight_bit_dac() const { return (state_.enable & enable::kEightBitDac) != 0; }

uint32_t Dispi::pitch() const {
    const uint32_t width = state_.virtual_width;
    if (planar()) return width / 8;
    return width * ((state_.bpp + 7u) / 8);
}

bool Dispi::acceptable_bpp(uint16_t value) const {
    return value == 4 || value == 8 || value == 15 || value == 16 || value == 24 || value == 32;
}

uint16_t Dispi::read(unsigned index) const {
    const bool capabilities = (state_.enable & enable::kGetCapabilities) != 0;
    switch (index) {
        case kId:
            return id_;
        case kXRes:
            return capabilities ? kMaximumWidth : state_.x_res;
        case kYRes:
            return capabilities ? kMaximumHeight : state_.y_res;
        case kBpp:
            return capabilities ? 32 : state_.bpp;
        case kEnable:
            return state_.enable;
        case kBank:
            return state_.bank;
        case kVirtualWidth:
            return capabilities ? kMaximumWidth : state_.virtual_width;
        case kVirtualHeight:
            return state_.virtual_height;
        case kXOffset:
            return state_.x_offset;
        case kYOffset:
            return state_.y_offset;
        case kMemory64K:
            return static_cast<uint16_t>(memory_bytes_ >> 16);
        default:
            return 0;
    }
}

// A line as long as asked for, at least as long as the visible one, and as many as fit.
void Dispi::set_virtual_width(uint16_t value) {
    state_.virtual_width = std::max(value, state_.x_res);
    if (planar()) state_.virtual_width &= static_cast<uint16_t>(~7u);
    const uint64_t bytes = planar() ? memory_bytes_ / 4 : memory_bytes_;
    const uint64_t lines = bytes / std::max<uint32_t>(pitch(), 1);
    if (lines < state_.y_res) {
        state_.virtual_width = state_.x_res;
        state_.virtual_height = state_.y_res;
        return;
    }
    state_.virtual_height = static_cast<uint16_t>(std::min<uint64_t>(lines, 0xffff));
}

void Dispi::set_mode() {
    state_.x_res = std::clamp<uint16_t>(state_.x_res, 8, kMaximumWidth);
    state_.y_res = std::clamp<uint16_t>(state_.y_res, 1, kMaximumHeight);
    const uint64_t bytes = planar() ? memory_bytes_ / 4 : memory_bytes_;
    state_.virtual_width = state_.x_res;
    const uint64_t lines = bytes / pitch();
    state_.y_res = static_cast<uint16_t>(std::min<uint64_t>(state_.y_res, lines));
    state_.x_offset = state_.y_offset = state_.bank = 0;
    set_virtual_width(state_.x_res);
}

bool Dispi::write(unsigned index, uint16_t value) {
    switch (index) {
        case kId:
            // A driver finds the version by writing the ones it knows.
            if (value >= kIdFirst && value <= kIdLatest) id_ = value;
            break;
        // Size and depth hold still while the mode is on.
        case kXRes:
            if (!enabled() && value <= kMaximumWidth) {
                state_.x_res = static_cast<uint16_t>(value & ~7u);
            }
            break;
        case kYRes:
            if (!enabled() && value <= kMaximumHeight) state_.y_res = value;
            break;
        case kBpp:
            if (value == 0) value = 8;
            if (!enabled() && acceptable_bpp(value)) state_.bpp = value;
            break;
        case kEnable: {
            const bool on = (value & enable::kEnabled) != 0, was_on = enabled();
            state_.enable = value;
            if (on && !was_on) set_mode();
            if (!on) state_.bank = 0;
            return on && !was_on && (value & enable::kKeepMemory) == 0;
        }
        case kBank:
            if (uint64_t{value} << 16 < memory_bytes_) state_.bank = value;
            break;
        case kVirtualWidth:
            if (enabled()) set_virtual_width(value);
            break;
        case kXOffset:
            state_.x_offset = value;
            break;
        case kYOffset:
            state_.y_offset = value;
            break;
        default:
            break;
    }
    return false;
}

}  // namespace mynah
