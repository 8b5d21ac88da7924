#include "device/interrupt/io_apic82093.h"

#include <utility>

#include "device/interrupt/io_apic82093_registers.h"

namespace mynah {

namespace entry = io_apic::entry;

void IoApic82093::reset() {
    entries_.fill(entry::kReset);
    edges_ = held_ = 0;
    repeats_.fill(0);
    select_ = id_ = 0;
}

ApicMessage IoApic82093::message_of(unsigned pin) const {
    const uint64_t value = entries_[pin];
    ApicMessage message;
    message.destination = static_cast<uint32_t>(value >> entry::kDestinationShift);
    if (message.destination == 0xff) message.destination = ApicMessage::kBroadcast;
    message.logical = (value & entry::kLogical) != 0;
    message.mode =
        static_cast<DeliveryMode>((value & entry::kDelivery) >> entry::kDeliveryShift);
    message.vector = static_cast<uint8_t>(value & entry::kVector);
    message.level_triggered = (value & entry::kLevel) != 0;
    return message;
}

std::optional<ApicMessage> IoApic82093::level_message(unsigned pin) const {
    const uint64_t value = entries_[pin];
    if ((value & entry::kMasked) != 0 || (value & entry::kLevel) == 0) return std::nullopt;
    return message_of(pin);
}

// Sends what the pin has to say. A level is sent once and then waits for its EOI (remote IRR);
// SMI, NMI, INIT and ExtINT have none, so they are sent per edge whatever the trigger mode says
// [82093AA 3.2.4, delivery mode].
void IoApic82093::evaluate(unsigned pin, Messages& out) {
    uint64_t& value = entries_[pin];
    const uint32_t mask = 1u << pin;
    if ((value & entry::kMasked) != 0) return;
    const auto mode =
        static_cast<DeliveryMode>((value & entry::kDelivery) >> entry::kDeliveryShift);
    const bool acknowledged = mode == DeliveryMode::kFixed || mode == DeliveryMode::kLowestPriority;
    if ((value & entry::kLevel) != 0 && acknowledged) {
        edges_ &= ~mask;
        if ((levels_ & mask) == 0 || (held_ & mask) != 0 || (value & entry::kRemoteIrr) != 0) return;
        value |= entry::kRemoteIrr;
    } else {
        if ((edges_ & mask) == 0) return;
        edges_ &= ~mask;
    }
    // Codes 3 and 6 are reserved: start-up goes from processor to processor only.
    if (mode == DeliveryMode::kStartup || static_cast<uint8_t>(mode) == 3) return;
    out.add(message_of(pin));
}

void IoApic82093::set_pin(unsigned pin, bool level, Messages& out) {
    if (pin >= kPins) return;
    const uint32_t mask = 1u << pin;
    const bool before = (levels_ & mask) != 0;
    levels_ = level ? levels_ | mask : levels_ & ~mask;
    if (!level) {
        held_ &= ~mask;
        repeats_[pin] = 0;
    }
    if (level == before || !level) return;
    // An edge on a masked pin is lost [82093AA 3.2.4, interrupt mask].
    if ((entries_[pin] & entry::kMasked) == 0) edges_ |= mask;
    evaluate(pin, out);
}

void IoApic82093::end_of_interrupt(uint8_t vector, Messages& out) {
    for (unsigned pin = 0; pin < kPins; ++pin) {
        uint64_t& value = entries_[pin];
        if ((value & entry::kVector) != vector || (value & entry::kRemoteIrr) == 0) continue;
        value &= ~entry::kRemoteIrr;
        const uint32_t mask = 1u << pin;
        if ((levels_ & mask) != 0 && ++repeats_[pin] == kMostRepeats) {
            held_ |= mask;
            repeats_[pin] = 0;
        }
        evaluate(pin, out);
    }
}

void IoApic82093::release(Messages& out) {
    const uint32_t pins = std::exchange(held_, 0);
    for (unsigned pin = 0; pin < kPins; ++pin) {
        if ((pins >> pin & 1) != 0) evaluate(pin, out);
    }
}

void IoApic82093::refused(uint8_t vector) {
    for (uint64_t& value : entries_) {
        if ((value & entry::kVector) == vector) value &= ~entry::kRemoteIrr;
    }
}

uint32_t IoApic82093::read(uint32_t offset) const {
    switch (offset) {
        case io_apic::kSelect: return select_;
        case io_apic::kData: return read_register(select_);
        default: return 0;
    }
}

void IoApic82093::write(uint32_t offset, uint32_t value, Messages& out) {
    switch (offset) {
        case io_apic::kSelect: select_ = static_cast<uint8_t>(value); break;
        case io_apic::kData: write_register(select_, value, out); break;
        case io_apic::kEoi: end_of_interrupt(static_cast<uint8_t>(value), out); break;
        default: break;
    }
}

uint32_t IoApic82093::read_register(uint8_t index) const {
    if (index == io_apic::kId || index == io_apic::kArbitration) {
        return uint32_t{id_} << io_apic::kIdShift;
    }
    if (index == io_apic::kVersion) return io_apic::kVersionNumber | (kPins - 1) << 16;
    const unsigned half = index - unsigned{io_apic::kRedirection};
    if (index < io_apic::kRedirection || half >= 2 * kPins) return 0;
    return static_cast<uint32_t>(entries_[half / 2] >> (half % 2 * 32));
}

void IoApic82093::write_register(uint8_t index, uint32_t value, Messages& out) {
    if (index == io_apic::kId) id_ = (value >> io_apic::kIdShift) & io_apic::kIdMask;
    const unsigned half = index - unsigned{io_apic::kRedirection};
    if (index < io_apic::kRedirection || half >= 2 * kPins) return;
    uint64_t& current = entries_[half / 2];
    const unsigned shift = half % 2 * 32;
    const uint64_t mask = (uint64_t{0xffffffff} << shift) & entry::kWritable;
    current = (current & ~mask) | ((uint64_t{value} << shift) & mask);
    // Software without the EOI register ends a level interrupt by a moment of edge mode.
    if ((current & entry::kLevel) == 0) current &= ~entry::kRemoteIrr;
    evaluate(half / 2, out);
}

}  // namespace mynah
