#pragma once

#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/exception.h"

namespace mynah::interpreter {

class Core;

// A descriptor as it stands in a table: a segment's, a system segment's or a gate [SDM 3A 3.4.5,
// 3.5, 5.8.3, 6.11]. 16-byte ones (long mode) have their second half in `high`.
struct Descriptor {
    uint64_t low = 0;
    uint64_t high = 0;
    uint64_t address = 0;  // linear, of the first byte

    // In the terms of x86::segment_attribute.
    uint32_t attributes() const { return static_cast<uint32_t>(low >> 40) & 0xf0ff; }
    uint8_t type() const { return low >> 40 & 0xf; }
    unsigned dpl() const { return low >> 45 & 3; }
    bool has(uint32_t attribute) const { return (attributes() & attribute) != 0; }
    bool present() const { return has(x86::segment_attribute::kPresent); }
    bool code_or_data() const { return has(x86::segment_attribute::kCodeOrData); }
    bool code() const { return code_or_data() && has(x86::segment_attribute::kCode); }
    bool conforming() const { return has(x86::segment_attribute::kConformingOrExpandDown); }
    bool readable() const { return !code() || has(x86::segment_attribute::kReadableOrWritable); }
    bool writable_data() const {
        return code_or_data() && !code() && has(x86::segment_attribute::kReadableOrWritable);
    }
    bool code64() const { return has(x86::segment_attribute::kLong); }

    uint32_t base() const {
        return (low >> 16 & 0xffffff) | static_cast<uint32_t>(low >> 56) << 24;
    }
    uint64_t base64() const { return base() | (high & 0xffffffff) << 32; }
    uint32_t limit() const {
        const auto raw = static_cast<uint32_t>((low & 0xffff) | (low >> 32 & 0xf0000));
        return has(x86::segment_attribute::kGranularity) ? raw << 12 | 0xfff : raw;
    }

    // Gates.
    uint16_t gate_selector() const { return static_cast<uint16_t>(low >> 16); }
    uint32_t gate_offset() const {
        return static_cast<uint32_t>((low & 0xffff) | (low >> 32 & 0xffff0000));
    }
    uint64_t gate_offset64() const { return gate_offset() | (high & 0xffffffff) << 32; }
    unsigned gate_parameters() const { return low >> 32 & 31; }
    unsigned gate_ist() const { return low >> 32 & 7; }
    // 64-bit gates: bits 12:8 of the fourth doubleword must be zero.
    bool upper_type_clear() const { return (high >> 32 & 0x1f00) == 0; }

    SegmentRegister to_register(uint16_t selector) const {
        return {.base = base(), .limit = limit(), .attributes = attributes(), .selector = selector};
    }
};

inline bool is_null(uint16_t selector) { return (selector & 0xfffc) == 0; }
// A selector as error codes carry it.
inline uint32_t code_of(uint16_t selector) { return selector & 0xfffcu; }

// What a null selector leaves in a segment register; DPL is kept for SS, whose DPL is the CPL.
SegmentRegister null_segment(uint16_t selector, unsigned dpl = 0);
// What a selector means in real (user = false) and virtual-8086 mode; `before` is the register's
// content, of which real mode keeps the limit and size.
SegmentRegister real_segment(uint16_t selector, const SegmentRegister& before);
SegmentRegister v86_segment(uint16_t selector);

// Reads the descriptor of a selector that is not null. False: `outside` if it is beyond its
// table's limit, or a page fault.
bool read_descriptor(Core& core, uint16_t selector, const Exception& outside, Descriptor& out);
// The second half of a 16-byte one.
bool read_descriptor_high(Core& core, uint16_t selector, const Exception& outside, Descriptor& out);
// Sets the accessed bit of a code or data segment in its table if it is not set.
bool set_accessed(Core& core, Descriptor& descriptor);
// Sets or clears the busy bit of a TSS.
bool set_busy(Core& core, const Descriptor& descriptor, bool busy);

}  // namespace mynah::interpreter
