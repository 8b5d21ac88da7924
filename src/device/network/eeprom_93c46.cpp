#include "device/network/eeprom_93c46.h"

namespace mynah {

void Eeprom93c46::deselect() {
    selected_ = false;
    phase_ = Phase::kStart;
    bits_ = 0;
    shift_ = 0;
    data_out_ = true;  // ready
}

void Eeprom93c46::set_pins(bool select, bool clock, bool data_in) {
    const bool rising = clock && !clock_;
    clock_ = clock;
    if (!select) {
        // Programming begins when the chip is let go, with all bits there.
        if (selected_) deselect();
        return;
    }
    selected_ = true;
    if (rising) clock_in(data_in);
}

void Eeprom93c46::clock_in(bool data_in) {
    switch (phase_) {
        case Phase::kStart:
            if (data_in) {  // the start bit
                phase_ = Phase::kInstruction;
                bits_ = 0;
                shift_ = 0;
            }
            return;
        case Phase::kInstruction:
            shift_ = shift_ << 1 | (data_in ? 1 : 0);
            if (++bits_ == kInstructionBits) decode();
            return;
        case Phase::kRead:
            if (bits_ == 16) {  // sequential read: the next word follows
                address_ = (address_ + 1) % kWords;
                bits_ = 0;
            }
            data_out_ = (words_[address_] >> (15 - bits_) & 1) != 0;
            ++bits_;
            return;
        case Phase::kWrite:
            shift_ = shift_ << 1 | (data_in ? 1 : 0);
            if (++bits_ == 16) finish_write();
            return;
        case Phase::kDone:
            data_out_ = true;  // ready at once
            return;
    }
}

void Eeprom93c46::decode() {
    constexpr unsigned kWriteOpcode = 1, kReadOpcode = 2, kEraseOpcode = 3;
    const unsigned opcode = shift_ >> 6 & 3;
    address_ = shift_ & (kWords - 1);
    bits_ = 0;
    shift_ = 0;
    all_words_ = false;
    phase_ = Phase::kDone;
    switch (opcode) {
        case kReadOpcode:
            phase_ = Phase::kRead;
            data_out_ = false;  // a dummy zero precedes the word
            return;
        case kWriteOpcode:
            phase_ = Phase::kWrite;
            return;
        case kEraseOpcode:
            if (write_enabled_) words_[address_] = 0xffff;
            return;
        default:
            break;
    }
    switch (address_ >> 4) {  // the others have their opcode in the address's upper bits
        case 0:
            write_enabled_ = false;
            return;
        case 1:
            all_words_ = true;
            phase_ = Phase::kWrite;
            return;
        case 2:
            if (write_enabled_) words_.fill(0xffff);
            return;
        default:
            write_enabled_ = true;
            return;
    }
}

void Eeprom93c46::finish_write() {
    phase_ = Phase::kDone;
    if (!write_enabled_) return;
    const auto word = static_cast<uint16_t>(shift_);
    if (all_words_) {
        words_.fill(word);
    } else {
        words_[address_] = word;
    }
}

}  // namespace mynah
