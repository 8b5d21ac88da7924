// Call gates of 16, 32 and 64 bits [SDM 2A CALL, 3A 5.8.3 to 5.8.5].

#include <array>

#include "engine/interpreter/core.h"
#include "engine/interpreter/far_transfer.h"
#include "engine/interpreter/stack_frame.h"

namespace mynah::interpreter {

using x86::Segment;
namespace type = x86::system_type;

namespace {

struct GateTarget {
    uint16_t selector;
    Descriptor code;
    uint64_t offset;
    unsigned size;        // of what is pushed: 2, 4 or 8 bytes
    unsigned parameters;  // copied to the inner stack
};

// The code segment behind the gate, for the checks that JMP and CALL share.
bool read_gate_code(Core& core, FarKind kind, GateTarget& target) {
    const unsigned cpl = core.s.cpl();
    if (is_null(target.selector)) return core.raised(Exception::gp());
    const Exception bad = Exception::gp(code_of(target.selector));
    if (!read_descriptor(core, target.selector, bad, target.code)) return false;
    const Descriptor& code = target.code;
    if (!code.code() || code.dpl() > cpl) return core.raised(bad);
    if (kind == FarKind::kJump && !code.conforming() && code.dpl() != cpl) return core.raised(bad);
    if (core.s.long_mode() && (!code.code64() || contradictory_code(core, code)))
        return core.raised(bad);
    if (!code.present()) return core.raised(Exception::np(code_of(target.selector)));
    return true;
}

// Parameters of the outer stack, last pushed first.
bool read_parameters(Core& core, const GateTarget& target, std::array<uint64_t, 31>& values) {
    StackReader reader(core);
    for (unsigned i = 0; i < target.parameters; ++i) {
        if (!reader.pop(values[i], target.size)) return false;
    }
    return true;
}

Outcome call_same_level(Core& core, const Op& op, GateTarget& target) {
    CpuState& s = core.s;
    const bool flat64 = s.long_mode();
    StackWriter stack(core, s.ss(), s.gpr[kRsp], flat64, access_mode_of(s.cpl()), 0);
    if (!stack.has_room(2, target.size)) return Outcome::kFault;
    if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
    if (!set_accessed(core, target.code)) return Outcome::kFault;
    if (!stack.push(s.cs().selector, target.size) || !stack.push(core.rip_after(op), target.size)) {
        return Outcome::kFault;
    }
    set_stack_pointer_for(s, s.ss(), flat64, stack.pointer());
    enter_code(core, target.selector, s.cpl(), target.code, target.offset);
    return Outcome::kLeave;
}

Outcome call_inner_level(Core& core, const Op& op, GateTarget& target) {
    CpuState& s = core.s;
    const bool flat64 = s.long_mode();
    const unsigned level = target.code.dpl();
    InnerStack inner;
    const bool found =
        flat64 ? inner_stack64(core, level, 0, 0, inner) : inner_stack(core, level, 0, inner);
    if (!found) return Outcome::kFault;
    StackWriter stack(core, inner.segment, inner.pointer, flat64, access_mode_of(level),
                      code_of(inner.segment.selector));
    if (!stack.has_room(4 + target.parameters, target.size)) return Outcome::kFault;
    if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
    std::array<uint64_t, 31> parameters;
    if (!read_parameters(core, target, parameters)) return Outcome::kFault;
    if (!set_accessed(core, target.code)) return Outcome::kFault;

    bool pushed = stack.push(s.ss().selector, target.size) && stack.push(s.gpr[kRsp], target.size);
    for (unsigned i = target.parameters; pushed && i > 0; --i) {
        pushed = stack.push(parameters[i - 1], target.size);
    }
    pushed = pushed && stack.push(s.cs().selector, target.size) &&
             stack.push(core.rip_after(op), target.size);
    if (!pushed) return Outcome::kFault;
    s.segment(Segment::kSs) = inner.segment;
    set_stack_pointer_for(s, inner.segment, flat64, stack.pointer());
    enter_code(core, target.selector, level, target.code, target.offset);
    return Outcome::kLeave;
}

}  // namespace

Outcome through_call_gate(Core& core, const Op& op, FarKind kind, uint16_t selector,
                          Descriptor gate) {
    const bool long_mode = core.s.long_mode();
    const Exception bad = Exception::gp(code_of(selector));
    if (long_mode) {
        if (!read_descriptor_high(core, selector, bad, gate)) return Outcome::kFault;
        if (!gate.upper_type_clear()) return core.raise(bad);
    }
    if (!gate.present()) return core.raise(Exception::np(code_of(selector)));
    const bool wide = gate.type() == type::kCallGate32;
    GateTarget target{.selector = gate.gate_selector(),
                      .code = {},
                      .offset = long_mode ? gate.gate_offset64()
                                : wide    ? gate.gate_offset()
                                          : gate.gate_offset() & 0xffff,
                      .size = long_mode ? 8u
                              : wide    ? 4u
                                        : 2u,
                      .parameters = long_mode ? 0 : gate.gate_parameters()};
    if (!read_gate_code(core, kind, target)) return Outcome::kFault;
    if (kind == FarKind::kJump) {
        if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
        if (!set_accessed(core, target.code)) return Outcome::kFault;
        enter_code(core, target.selector, core.s.cpl(), target.code, target.offset);
        return Outcome::kLeave;
    }
    const bool inner = !target.code.conforming() && target.code.dpl() < core.s.cpl();
    return inner ? call_inner_level(core, op, target) : call_same_level(core, op, target);
}

}  // namespace mynah::interpreter
