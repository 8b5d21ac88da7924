#include "device/chipset/dma8237.h"

namespace mynah {
namespace {

enum Register : unsigned {  // [8237A], register codes with A3 set
    kCommand = 8,           // read: status
    kRequest = 9,
    kSingleMask = 10,
    kMode = 11,
    kClearFlipFlop = 12,
    kMasterClear = 13,  // read: temporary register
    kClearMask = 14,
    kAllMask = 15,
};
constexpr uint8_t kChannel = 3, kSet = 4;
constexpr uint8_t kTerminalCounts = 0x0f;
constexpr unsigned kRequestShift = 4;

}  // namespace

void Dma8237::reset() {
    command_ = request_ = status_ = 0;
    mask_ = 0xf;
    high_byte_ = false;
}

uint8_t Dma8237::read(unsigned index) {
    if (index < kCommand) {
        const uint16_t value = channels_[index / 2].current[index % 2];
        high_byte_ = !high_byte_;
        return static_cast<uint8_t>(high_byte_ ? value : value >> 8);
    }
    if (index == kCommand) {
        const auto value = static_cast<uint8_t>(status_ | request_ << kRequestShift);
        status_ = static_cast<uint8_t>(status_ & ~kTerminalCounts);
        return value;
    }
    return index == kAllMask ? static_cast<uint8_t>(mask_ | 0xf0) : 0;
}

void Dma8237::write(unsigned index, uint8_t value) {
    if (index < kCommand) {
        Channel& channel = channels_[index / 2];
        uint16_t& base = channel.base[index % 2];
        base = static_cast<uint16_t>(high_byte_ ? (base & 0x00ff) | value << 8
                                                : (base & 0xff00) | value);
        channel.current[index % 2] = base;
        high_byte_ = !high_byte_;
        return;
    }
    const auto channel_bit = static_cast<uint8_t>(1u << (value & kChannel));
    switch (index) {
        case kCommand:
            command_ = value;
            break;
        case kRequest:
            request_ = static_cast<uint8_t>((value & kSet) != 0 ? request_ | channel_bit
                                                                : request_ & ~channel_bit);
            break;
        case kSingleMask:
            mask_ = static_cast<uint8_t>((value & kSet) != 0 ? mask_ | channel_bit
                                                             : mask_ & ~channel_bit);
            break;
        case kMode:
            channels_[value & kChannel].mode = value;
            break;
        case kClearFlipFlop:
            high_byte_ = false;
            break;
        case kMasterClear:
            reset();
            break;
        case kClearMask:
            mask_ = 0;
            break;
        case kAllMask:
            mask_ = value & 0xf;
            break;
        default:
            break;
    }
}

IsaDma::IsaDma()
    : low_(*this, &IsaDma::read_low, &IsaDma::write_low),
      high_(*this, &IsaDma::read_high, &IsaDma::write_high),
      pages_(*this, &IsaDma::read_page, &IsaDma::write_page) {}

void IsaDma::reset() {
    MutexLock lock(mutex_);
    for (Dma8237& chip : chips_) chip.reset();
    page_registers_.fill(0);
}

uint8_t IsaDma::read_low(unsigned offset) {
    MutexLock lock(mutex_);
    return chips_[0].read(offset);
}

void IsaDma::write_low(unsigned offset, uint8_t value) {
    MutexLock lock(mutex_);
    chips_[0].write(offset, value);
}

uint8_t IsaDma::read_high(unsigned offset) {
    MutexLock lock(mutex_);
    return chips_[1].read(offset / 2);
}

void IsaDma::write_high(unsigned offset, uint8_t value) {
    MutexLock lock(mutex_);
    chips_[1].write(offset / 2, value);
}

uint8_t IsaDma::read_page(unsigned offset) {
    MutexLock lock(mutex_);
    return page_registers_[offset];
}

void IsaDma::write_page(unsigned offset, uint8_t value) {
    MutexLock lock(mutex_);
    page_registers_[offset] = value;
}

}  // namespace mynah
