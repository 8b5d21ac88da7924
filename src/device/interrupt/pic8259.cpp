#include "device/interrupt/pic8259.h"

#include "device/interrupt/pic8259_registers.h"

namespace mynah {

void Pic8259::reset() {
    const uint8_t levels = levels_;
    *this = Pic8259(role_, elcr_mask_);
    levels_ = levels;
}

void Pic8259::set_input(unsigned input, bool level) {
    const uint8_t mask = static_cast<uint8_t>(1u << (input & 7));
    const bool before = (levels_ & mask) != 0;
    levels_ = static_cast<uint8_t>(level ? levels_ | mask : levels_ & ~mask);
    if ((elcr_ & mask) != 0) {
        irr_ = static_cast<uint8_t>(level ? irr_ | mask : irr_ & ~mask);
    } else if (level && !before) {
        irr_ |= mask;
    }
}

void Pic8259::write_elcr(uint8_t value) {
    elcr_ = value & elcr_mask_;
    // Level inputs request as long as they are high, and no longer.
    irr_ = static_cast<uint8_t>((irr_ & ~elcr_) | (levels_ & elcr_));
}

int Pic8259::highest(uint8_t set) const {
    for (unsigned rank_wanted = 0; rank_wanted < 8; ++rank_wanted) {
        const unsigned input = (lowest_ + 1 + rank_wanted) & 7;
        if ((set & (1u << input)) != 0) return static_cast<int>(input);
    }
    return -1;
}

// Fully nested: a request waits for those of higher or equal priority that are in service. The
// special mask mode ignores what is masked, the special fully nested mode what the slaves have
// in service.
int Pic8259::pending_input() const {
    if (init_ != Init::kDone) return -1;
    const int request = highest(static_cast<uint8_t>(irr_ & ~imr_));
    if (request < 0) return -1;
    uint8_t blocking = isr_;
    if (special_mask_) blocking &= static_cast<uint8_t>(~imr_);
    if (special_fully_nested_ && role_ == Role::kMaster) {
        blocking &= static_cast<uint8_t>(~cascade_);
    }
    const int serving = highest(blocking);
    if (serving < 0) return request;
    const bool waits =
        rank(static_cast<unsigned>(serving)) <= rank(static_cast<unsigned>(request));
    return waits ? -1 : request;
}

void Pic8259::begin_service(unsigned input) {
    const uint8_t mask = static_cast<uint8_t>(1u << input);
    if ((elcr_ & mask) == 0) irr_ &= static_cast<uint8_t>(~mask);
    if (!auto_eoi_) {
        isr_ |= mask;
    } else if (rotate_on_auto_eoi_) {
        lowest_ = input;
    }
}

Pic8259::Acknowledged Pic8259::acknowledge() {
    const int input = pending_input();
    if (input < 0) {
        const auto vector = static_cast<uint8_t>(vector_base_ | pic::kSpuriousInput);
        return {vector, pic::kSpuriousInput, true};
    }
    begin_service(static_cast<unsigned>(input));
    return {static_cast<uint8_t>(vector_base_ | input), static_cast<uint8_t>(input), false};
}

uint8_t Pic8259::read(unsigned offset) {
    if (poll_) {
        poll_ = false;
        const int input = pending_input();
        if (input < 0) return 0;
        begin_service(static_cast<unsigned>(input));
        return static_cast<uint8_t>(pic::kPollPending | input);
    }
    if (offset == 1) return imr_;
    return read_isr_ ? isr_ : irr_;
}

void Pic8259::write(unsigned offset, uint8_t value) {
    if (offset == 0) {
        if ((value & pic::icw1::kIsIcw1) != 0) {
            write_icw1(value);
        } else if ((value & pic::ocw3::kIsOcw3) != 0) {
            write_ocw3(value);
        } else {
            write_ocw2(value);
        }
        return;
    }
    switch (init_) {
        case Init::kDone: imr_ = value; break;
        case Init::kIcw2:
            vector_base_ = value & pic::icw2::kVectorBase;
            init_ = !single_ ? Init::kIcw3 : needs_icw4_ ? Init::kIcw4 : Init::kDone;
            break;
        case Init::kIcw3:
            cascade_ = value;
            init_ = needs_icw4_ ? Init::kIcw4 : Init::kDone;
            break;
        case Init::kIcw4:
            auto_eoi_ = (value & pic::icw4::kAutoEoi) != 0;
            special_fully_nested_ = (value & pic::icw4::kSpecialFullyNested) != 0;
            init_ = Init::kDone;
            break;
    }
}

// [8259A, ICW1]: masks cleared, edges forgotten, input 7 lowest, special mask off, IRR read.
void Pic8259::write_icw1(uint8_t value) {
    irr_ = levels_ & elcr_;
    isr_ = imr_ = 0;
    lowest_ = 7;
    needs_icw4_ = (value & pic::icw1::kNeedsIcw4) != 0;
    single_ = (value & pic::icw1::kSingle) != 0;
    auto_eoi_ = rotate_on_auto_eoi_ = special_fully_nested_ = false;
    special_mask_ = read_isr_ = poll_ = false;
    init_ = Init::kIcw2;
}

void Pic8259::write_ocw2(uint8_t value) {
    const bool rotate = (value & pic::ocw2::kRotate) != 0;
    const bool specific = (value & pic::ocw2::kSpecific) != 0;
    const unsigned level = value & pic::ocw2::kLevel;
    if ((value & pic::ocw2::kEoi) == 0) {
        if (specific && rotate) lowest_ = level;
        if (!specific) rotate_on_auto_eoi_ = rotate;
        return;
    }
    if (specific) {
        isr_ &= static_cast<uint8_t>(~(1u << level));
        if (rotate) lowest_ = level;
        return;
    }
    // In special mask mode the non-specific command leaves masked inputs in service.
    const int serving = highest(special_mask_ ? static_cast<uint8_t>(isr_ & ~imr_) : isr_);
    if (serving < 0) return;
    isr_ &= static_cast<uint8_t>(~(1u << serving));
    if (rotate) lowest_ = static_cast<unsigned>(serving);
}

void Pic8259::write_ocw3(uint8_t value) {
    if ((value & pic::ocw3::kPoll) != 0) {
        poll_ = true;
    } else if ((value & pic::ocw3::kReadRegister) != 0) {
        read_isr_ = (value & pic::ocw3::kReadIsr) != 0;
    }
    if ((value & pic::ocw3::kEnableSpecialMask) != 0) {
        special_mask_ = (value & pic::ocw3::kSpecialMask) != 0;
    }
}

}  // namespace mynah
