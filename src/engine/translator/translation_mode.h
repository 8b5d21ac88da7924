#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/mmu.h"

namespace mynah::translator {

// What translated code takes for granted of a data segment outside 64-bit mode.
enum class SegmentUse : uint8_t {
    kFlat,      // writable, base 0, all 4 GiB: nothing to check, nothing to add
    kLimited,   // writable, from 0 to its limit; base and limit are looked up
    kReadOnly,  // the same, but not writable
    kOther,     // the interpreter's: cannot be used, not readable, expands down
};

SegmentUse segment_use(const SegmentRegister& segment, bool protected_mode);

// Everything outside a block's bytes that its translation depends on.
struct TranslationMode {
    uint16_t bits = 0xffff;  // CodeMode::key(), and which units may be used
    uint16_t segments = 0;   // SegmentUse of each, two bits; 0 in 64-bit mode
    uint32_t cs_base = 0, cs_limit = 0;  // 0 in 64-bit mode

    bool operator==(const TranslationMode&) const = default;

    SegmentUse use(x86::Segment segment) const {
        return static_cast<SegmentUse>(segments >> (2 * static_cast<unsigned>(segment)) & 3);
    }
    void set_segments(const CpuState& state, bool protected_mode);
};

struct TranslationModeHash {
    size_t operator()(const TranslationMode& mode) const {
        const uint64_t a = uint64_t{mode.cs_base} << 32 | mode.cs_limit;
        const uint64_t b = uint64_t{mode.segments} << 16 | mode.bits;
        return static_cast<size_t>((a ^ b * 0x9e3779b97f4a7c15u) * 0x9e3779b97f4a7c15u >> 16);
    }
};

// The segment register of that name; DS for every other register.
x86::Segment segment_of(unsigned zydis_register);

}  // namespace mynah::translator
