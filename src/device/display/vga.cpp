#include "device/display/vga.h"

#include "device/display/vga_timing.h"

namespace mynah {

using namespace vga;

Vga::Vga(std::span<std::byte> memory) : dispi_(memory.size()), memory_(memory) {}

void Vga::reset() {
    registers_ = {};
    dispi_.reset();
    memory_.reset();
    sequencer_index_ = crtc_index_ = graphics_index_ = attribute_index_ = 0;
    attribute_expects_data_ = false;
    feature_ = 0;
    enable_ = 1;
    dac_read_ = dac_write_ = dac_component_ = 0;
    dac_reading_ = false;
}

// The CRT controller's ports and input status 1 lie at 3Bxh or 3Dxh [VGA 2-43].
bool Vga::decodes(uint16_t port) const {
    if (port >= kAttributeIndex && port <= kGraphicsData) return true;
    const bool colour = (registers_.misc & misc::kColour) != 0;
    return colour ? port >= kCrtcIndexColour : port < kAttributeIndex;
}

uint8_t Vga::read_port(uint16_t port, uint64_t now_ns) {
    constexpr uint8_t kNobody = 0xff;
    if (!decodes(port)) return kNobody;
    switch (port) {
        case kAttributeIndex:
            return static_cast<uint8_t>(attribute_index_ |
                                        (registers_.video_enabled ? attribute::kVideoEnable : 0));
        case kAttributeData:
            return attribute_index_ < attribute::kRegisters ? registers_.attribute[attribute_index_]
                                                            : 0;
        case kMiscWrite:
            return 0;  // input status 0: no interrupt, no switch
        case kEnable:
            return enable_;
        case kSequencerIndex:
            return sequencer_index_;
        case kSequencerData:
            return sequencer_index_ < sequencer::kRegisters ? registers_.sequencer[sequencer_index_]
                                                            : 0;
        case kDacMask:
            return registers_.dac_mask;
        case kDacReadIndex:
            return dac_reading_ ? 3 : 0;  // the DAC's state
        case kDacWriteIndex:
            return dac_write_;
        case kDacData:
            return read_dac();
        case kFeatureRead:
            return feature_;
        case kMiscRead:
            return registers_.misc;
        case kGraphicsIndex:
            return graphics_index_;
        case kGraphicsData:
            return graphics_index_ < graphics::kRegisters ? registers_.graphics[graphics_index_]
                                                          : 0;
        case kCrtcIndexMono:
        case kCrtcIndexColour:
            return crtc_index_;
        case kCrtcDataMono:
        case kCrtcDataColour:
            return crtc_index_ < crtc::kRegisters ? registers_.crtc[crtc_index_] : 0;
        case kStatus1Mono:
        case kStatus1Colour: {
            attribute_expects_data_ = false;
            const uint16_t height = dispi_.enabled() ? dispi_.registers().y_res : 0;
            return VgaTiming(registers_, height).status(now_ns);
        }
        default:
            return kNobody;
    }
}

void Vga::write_port(uint16_t port, uint8_t value) {
    if (!decodes(port)) return;
    switch (port) {
        case kAttributeIndex:
            write_attribute(value);
            break;
        case kMiscWrite:
            registers_.misc = value;
            break;
        case kEnable:
            enable_ = value & 1;
            break;
        case kSequencerIndex:
            sequencer_index_ = value & 7;
            break;
        case kSequencerData:
            if (sequencer_index_ < sequencer::kRegisters) {
                registers_.sequencer[sequencer_index_] =
                    value & sequencer::kWritable[sequencer_index_];
            }
            break;
        case kDacMask:
            registers_.dac_mask = value;
            break;
        case kDacReadIndex:
            dac_read_ = value;
            dac_component_ = 0;
            dac_reading_ = true;
            break;
        case kDacWriteIndex:
            dac_write_ = value;
            dac_component_ = 0;
            dac_reading_ = false;
            break;
        case kDacData:
            write_dac(value);
            break;
        case kGraphicsIndex:
            graphics_index_ = value & 0xf;
            break;
        case kGraphicsData:
            if (graphics_index_ < graphics::kRegisters) {
                registers_.graphics[graphics_index_] = value & graphics::kWritable[graphics_index_];
            }
            break;
        case kCrtcIndexMono:
        case kCrtcIndexColour:
            crtc_index_ = value & 0x3f;
            break;
        case kCrtcDataMono:
        case kCrtcDataColour:
            write_crtc(value);
            break;
        case kStatus1Mono:
        case kStatus1Colour:
            feature_ = value & 3;
            break;
        default:
            break;
    }
}

void Vga::write_attribute(uint8_t value) {
    attribute_expects_data_ = !attribute_expects_data_;
    if (attribute_expects_data_) {  // this was the index
        attribute_index_ = value & 0x1f;
        registers_.video_enabled = (value & attribute::kVideoEnable) != 0;
        return;
    }
    if (attribute_index_ < attribute::kRegisters) {
        registers_.attribute[attribute_index_] = value & attribute::kWritable(attribute_index_);
    }
}

void Vga::write_crtc(uint8_t value) {
    if (crtc_index_ >= crtc::kRegisters) return;
    uint8_t& reg = registers_.crtc[crtc_index_];
    const bool protect = (registers_.crtc[crtc::kRetraceEnd] & crtc::kProtect) != 0;
    if (protect && crtc_index_ == crtc::kOverflow) {
        reg = static_cast<uint8_t>((reg & ~crtc::kLineCompareBit8) |
                                   (value & crtc::kLineCompareBit8));
    } else if (!protect || crtc_index_ > crtc::kOverflow) {
        reg = value;
    }
}

// Three accesses, then the next entry [VGA 2-104].
uint8_t Vga::read_dac() {
    const uint8_t value = registers_.dac[dac_read_][dac_component_];
    if (++dac_component_ == 3) {
        dac_component_ = 0;
        ++dac_read_;
    }
    return value;
}

void Vga::write_dac(uint8_t value) {
    registers_.dac[dac_write_][dac_component_] = dispi_.eight_bit_dac() ? value : value & 0x3f;
    if (++dac_component_ == 3) {
        dac_component_ = 0;
        ++dac_write_;
    }
}

VgaMemory::Change Vga::write_dispi(unsigned index, uint16_t value) {
    if (!dispi_.write(index, value)) return {};
    const DispiRegisters& mode = dispi_.registers();
    const uint64_t planes = dispi_.planar() ? 4 : 1;
    return memory_.clear(uint64_t{dispi_.pitch()} * mode.y_res * planes);
}

}  // namespace mynah
