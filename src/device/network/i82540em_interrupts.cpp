#include "device/network/i82540em_interrupts.h"

#include <algorithm>

#include "device/network/i82540em_registers.h"

namespace mynah::i82540em {

void Interrupts::update(uint64_t now) {
    if ((causes_ & mask_) == 0) {
        line_ = false;
    } else if (!line_ && now >= next_allowed_) {
        line_ = true;
        next_allowed_ = now + itr * kItrUnitNs;
    }
}

void Interrupts::raise(uint32_t causes, uint64_t now) {
    causes_ |= causes & kCauses;
    update(now);
}

void Interrupts::start(Delay& delay, uint16_t packet, uint16_t absolute, uint64_t now) {
    delay.packet = now + packet * kDelayUnitNs;
    if (absolute != 0 && delay.absolute == kNever) delay.absolute = now + absolute * kDelayUnitNs;
}

void Interrupts::received(uint64_t now) {
    if (rdtr == 0) {
        raise(kCauseRxt0, now);
    } else {
        start(receive_, rdtr, radv, now);
    }
}

void Interrupts::sent_delayed(uint64_t now) {
    if (tidv == 0) {
        raise(kCauseTxdw, now);
    } else {
        start(transmit_, tidv, tadv, now);
    }
}

void Interrupts::flush_receive(uint64_t now) {
    if (receive_.due() == kNever) return;
    receive_ = {};
    raise(kCauseRxt0, now);
}

uint32_t Interrupts::read_causes(uint64_t now) {
    const uint32_t causes = causes_;
    causes_ = 0;
    update(now);
    return causes;
}

void Interrupts::clear_causes(uint32_t causes, uint64_t now) {
    causes_ &= ~causes;
    update(now);
}

void Interrupts::set_mask(uint32_t bits, uint64_t now) {
    mask_ |= bits & kCauses;
    update(now);
}

void Interrupts::clear_mask(uint32_t bits, uint64_t now) {
    mask_ &= ~bits;
    update(now);
}

uint64_t Interrupts::deadline() const {
    const uint64_t throttled = (causes_ & mask_) != 0 && !line_ ? next_allowed_ : kNever;
    return std::min({receive_.due(), transmit_.due(), throttled});
}

void Interrupts::expire(uint64_t now) {
    if (receive_.due() <= now) {
        receive_ = {};
        causes_ |= kCauseRxt0;
    }
    if (transmit_.due() <= now) {
        transmit_ = {};
        causes_ |= kCauseTxdw;
    }
    update(now);
}

}  // namespace mynah::i82540em
