#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "device/interrupt/apic_message.h"

namespace mynah {

// The I/O APIC, after Intel 82093AA [82093AA] with the EOI register and version of its
// successors [ICH10 13.5.7]. 24 pins. A change answers with the messages to send.
// Left out: the APIC bus arbitration id (reads as the id). Remote IRR and delivery status are
// read-only; SMI is passed on. Single-threaded; IoApic is the attachment.
//
// A level that stays asserted over kMostRepeats ends of interrupt is held back until release() is
// called. Hardware takes microseconds to send a level again, in which a processor gets on with
// what the interrupt interrupted; drivers rely on that (Linux's 8139cp: its handler leaves a
// pending interrupt alone that another processor is about to poll).
class IoApic82093 {
 public:
    static constexpr unsigned kPins = 24;
    static constexpr unsigned kMostRepeats = 128;

    // At most one message per pin.
    struct Messages {
        std::array<ApicMessage, kPins> items;
        unsigned count = 0;
        void add(const ApicMessage& message) { items[count++] = message; }
        const ApicMessage* begin() const { return items.data(); }
        const ApicMessage* end() const { return items.data() + count; }
    };

    void reset();

    // `level` is the wire's electrical activity: true is asserted, whatever the polarity says (the
    // platform's lines are active when true; INTPOL is storage, as it is for other monitors).
    void set_pin(unsigned pin, bool level, Messages& out);
    // The EOI of a level-triggered interrupt with this vector.
    void end_of_interrupt(uint8_t vector, Messages& out);

    // No local APIC took the level-triggered message with this vector: nobody will end it. It is
    // sent again when the pin or its entry changes.
    void refused(uint8_t vector);

    bool holds() const { return held_ != 0; }
    void release(Messages& out);

    // The register window: select at 0, data at 10h, EOI at 40h. Other offsets read 0.
    uint32_t read(uint32_t offset) const;
    void write(uint32_t offset, uint32_t value, Messages& out);

    uint64_t entry(unsigned pin) const { return entries_[pin]; }
    // What the pin sends, if it is for a level and not masked.
    std::optional<ApicMessage> level_message(unsigned pin) const;

 private:
    uint32_t read_register(uint8_t index) const;
    void write_register(uint8_t index, uint32_t value, Messages& out);
    void evaluate(unsigned pin, Messages& out);
    ApicMessage message_of(unsigned pin) const;

    std::array<uint64_t, kPins> entries_{};
    uint32_t levels_ = 0;   // pins that are asserted
    uint32_t edges_ = 0;    // edges not yet sent, because the pin was masked
    uint32_t held_ = 0;     // levels that are not sent for now
    std::array<uint8_t, kPins> repeats_{};  // ends of interrupt since the pin was asserted
    uint8_t select_ = 0;
    uint8_t id_ = 0;
};

}  // namespace mynah
