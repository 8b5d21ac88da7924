#pragma once

// The stack as PUSH, POP, CALL and RET use it.

#include "engine/interpreter/core.h"

namespace mynah::interpreter {

inline uint64_t stack_pointer(const Core& core) {
    const uint64_t rsp = core.s.gpr[kRsp];
    switch (core.mode.stack_size) {
        case CodeSize::k64:
            return rsp;
        case CodeSize::k32:
            return rsp & 0xffffffff;
        case CodeSize::k16:
            return rsp & 0xffff;
    }
    return rsp;
}

// Writes SP, ESP or RSP; with a 16-bit stack the upper bits are kept.
inline void set_stack_pointer(Core& core, uint64_t value) {
    switch (core.mode.stack_size) {
        case CodeSize::k64:
            core.s.gpr[kRsp] = value;
            break;
        case CodeSize::k32:
            core.s.gpr[kRsp] = value & 0xffffffff;
            break;
        case CodeSize::k16:
            core.set_reg<uint16_t>(kRsp, static_cast<uint16_t>(value));
            break;
    }
}

inline uint64_t wrap_stack(const Core& core, uint64_t value) {
    switch (core.mode.stack_size) {
        case CodeSize::k64:
            return value;
        case CodeSize::k32:
            return value & 0xffffffff;
        case CodeSize::k16:
            return value & 0xffff;
    }
    return value;
}

// Linear address of `size` bytes of stack at offset `sp`; false: #SS.
inline bool stack_linear(Core& core, uint64_t sp, unsigned size, AccessKind kind,
                         uint64_t& linear) {
    if (core.mode.code_size == CodeSize::k64) {
        linear = sp;  // not canonical: the access faults, and the op's segment makes it #SS
        return true;
    }
    return core.segment_linear(x86::Segment::kSs, sp, size, kind, linear);
}

// After a failed push or pop in an op whose segment is that of another operand: an address that is
// not canonical is #SS all the same.
inline Outcome stack_fault(Core& core) {
    if (core.fault.vector == x86::Vector::kGp && core.fault.address == Core::kNonCanonicalMark) {
        core.fault = Exception::ss();
    }
    return Outcome::kFault;
}

template <typename T>
bool push(Core& core, T value) {
    const uint64_t sp = wrap_stack(core, stack_pointer(core) - sizeof(T));
    uint64_t linear;
    if (!stack_linear(core, sp, sizeof(T), AccessKind::kWrite, linear)) return false;
    if (!core.store(linear, value)) return false;
    set_stack_pointer(core, sp);
    return true;
}

// Reads the top of the stack; `sp` is what the stack pointer becomes if it is popped.
template <typename T>
bool peek(Core& core, T& value, uint64_t& sp) {
    const uint64_t at = stack_pointer(core);
    uint64_t linear;
    if (!stack_linear(core, at, sizeof(T), AccessKind::kRead, linear)) return false;
    if (!core.load(linear, value)) return false;
    sp = wrap_stack(core, at + sizeof(T));
    return true;
}

template <typename T>
bool pop(Core& core, T& value) {
    uint64_t sp;
    if (!peek(core, value, sp)) return false;
    set_stack_pointer(core, sp);
    return true;
}

}  // namespace mynah::interpreter
