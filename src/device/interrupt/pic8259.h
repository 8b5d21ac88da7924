#pragma once

#include <cstdint>

namespace mynah {

// One 8259A interrupt controller in an 8086 system, after the Intel 8259A data sheet [8259A] and
// the ELCR of the PIIX/ICH [ICH10 13.4.12].
// Modelled: initialization (ICW1 to ICW4, single and cascade), masks, all end-of-interrupt and
// rotation commands, automatic EOI, special mask mode, special fully nested mode, polling,
// spurious interrupts, edge and level inputs by ELCR.
// Left out: MCS-80/85 mode (ICW4 bit 0 is taken as set), buffered mode (no effect here), the level
// bit of ICW1 (ELCR replaces it, as in the ICH). An edge stays requested until it is served even
// if the input falls meanwhile: silicon would make a spurious interrupt of it.
// Single-threaded; PicPair is the attachment.
class Pic8259 {
 public:
    enum class Role : uint8_t { kMaster, kSlave };
    // elcr_mask: the inputs that ELCR can make level-triggered; the others are fixed to edges.
    Pic8259(Role role, uint8_t elcr_mask) : role_(role), elcr_mask_(elcr_mask) {}

    void reset();

    void set_input(unsigned input, bool level);
    // The INT pin.
    bool output() const { return pending_input() >= 0; }
    struct Acknowledged {
        uint8_t vector;
        uint8_t input;   // 7 for a spurious one
        bool spurious;
    };
    // Both INTA pulses; the highest request goes into service. Spurious (input 7's vector, nothing
    // in service) if there is none.
    Acknowledged acknowledge();

    // offset 0: ICW1, OCW2, OCW3; IRR, ISR or poll word. offset 1: ICW2-4, OCW1; IMR.
    uint8_t read(unsigned offset);
    void write(unsigned offset, uint8_t value);

    uint8_t elcr() const { return elcr_; }
    void write_elcr(uint8_t value);

    uint8_t irr() const { return irr_; }
    uint8_t isr() const { return isr_; }
    uint8_t imr() const { return imr_; }

 private:
    enum class Init : uint8_t { kDone, kIcw2, kIcw3, kIcw4 };

    int pending_input() const;  // the input to serve now, -1 if none
    unsigned rank(unsigned input) const { return (input - lowest_ - 1u) & 7; }  // 0 is highest
    int highest(uint8_t set) const;  // highest priority input of a set, -1 if empty
    void write_icw1(uint8_t value);
    void write_ocw2(uint8_t value);
    void write_ocw3(uint8_t value);
    void begin_service(unsigned input);

    Role role_;
    uint8_t elcr_mask_;
    uint8_t irr_ = 0, isr_ = 0, imr_ = 0;
    uint8_t levels_ = 0;  // the input pins
    uint8_t elcr_ = 0;    // ones: level-triggered
    uint8_t vector_base_ = 0;
    uint8_t cascade_ = 0;  // ICW3
    unsigned lowest_ = 7;  // the input with the lowest priority
    Init init_ = Init::kDone;
    bool needs_icw4_ = false, single_ = false;
    bool auto_eoi_ = false, rotate_on_auto_eoi_ = false;
    bool special_mask_ = false, special_fully_nested_ = false;
    bool read_isr_ = false, poll_ = false;
};

}  // namespace mynah
