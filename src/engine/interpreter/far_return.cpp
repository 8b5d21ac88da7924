// Far RET, and what it shares with IRET [SDM 2B RET].

#include "engine/interpreter/core.h"
#include "engine/interpreter/far_transfer.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/segment_load.h"
#include "engine/interpreter/stack_frame.h"

namespace mynah::interpreter {

using x86::Segment;

bool read_return_code(Core& core, uint16_t selector, ReturnTarget& out) {
    if (is_null(selector)) return core.raised(Exception::gp());
    const Exception bad = Exception::gp(code_of(selector));
    const unsigned rpl = selector & x86::selector::kRpl;
    out.selector = selector;
    if (!read_descriptor(core, selector, bad, out.code)) return false;
    if (!out.code.code() || rpl < core.s.cpl()) return core.raised(bad);
    if (out.code.conforming() ? out.code.dpl() > rpl : out.code.dpl() != rpl)
        return core.raised(bad);
    if (contradictory_code(core, out.code)) return core.raised(bad);
    if (!out.code.present()) return core.raised(Exception::np(code_of(selector)));
    return true;
}

bool read_return_stack(Core& core, uint16_t selector, const ReturnTarget& target,
                       SegmentRegister& out) {
    const unsigned level = target.level();
    if (is_null(selector)) {
        const bool allowed = core.s.long_mode() && target.code.code64() && level != 3 &&
                             (selector & x86::selector::kRpl) == level;
        if (!allowed) return core.raised(Exception::gp());
        out = null_segment(selector, level);
        return true;
    }
    const Exception bad = Exception::gp(code_of(selector));
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    const bool fits = (selector & x86::selector::kRpl) == level && descriptor.writable_data() &&
                      descriptor.dpl() == level;
    if (!fits) return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::ss(code_of(selector)));
    if (!set_accessed(core, descriptor)) return false;
    out = descriptor.to_register(selector);
    return true;
}

void finish_return(Core& core, const ReturnTarget& target) {
    core.s.segment(Segment::kCs) = target.code.to_register(target.selector);
    core.s.rip = target.offset;
}

void finish_outer_return(Core& core, const ReturnTarget& target,
                         const SegmentRegister& stack_segment, uint64_t stack_pointer) {
    CpuState& s = core.s;
    finish_return(core, target);
    const bool flat64 = s.code64();
    s.segment(Segment::kSs) = stack_segment;
    set_stack_pointer_for(s, stack_segment, flat64, stack_pointer);
    drop_privileged_segments(core, target.level());
}

namespace {

// op.imm: bytes of parameters to release, on both stacks.
template <typename T>
Outcome far_return_real(Core& core, const Op& op) {
    CpuState& s = core.s;
    StackReader stack(core);
    uint64_t offset;
    uint16_t selector;
    if (!stack.pop(offset, sizeof(T)) || !stack.pop_selector(selector, sizeof(T)))
        return Outcome::kFault;
    if (offset > s.cs().limit) return core.raise(Exception::gp());
    stack.skip(op.imm);
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    s.segment(Segment::kCs) =
        s.virtual_8086() ? v86_segment(selector) : real_segment(selector, s.cs());
    s.rip = offset;
    return Outcome::kLeave;
}

template <typename T>
Outcome far_return(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (s.real_or_v86()) return far_return_real<T>(core, op);
    StackReader stack(core);
    ReturnTarget target;
    uint16_t selector;
    if (!stack.pop(target.offset, sizeof(T)) || !stack.pop_selector(selector, sizeof(T))) {
        return Outcome::kFault;
    }
    if (!read_return_code(core, selector, target)) return Outcome::kFault;
    if (!target.code.code64()) target.offset &= 0xffffffff;
    stack.skip(op.imm);
    if (target.level() == s.cpl()) {
        if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
        if (!set_accessed(core, target.code)) return Outcome::kFault;
        set_stack_pointer_for(s, s.ss(), s.code64(), stack.pointer());
        finish_return(core, target);
        return Outcome::kLeave;
    }
    uint64_t outer_pointer;
    uint16_t outer_selector;
    SegmentRegister outer;
    if (!stack.pop(outer_pointer, sizeof(T)) || !stack.pop_selector(outer_selector, sizeof(T))) {
        return Outcome::kFault;
    }
    if (!read_return_stack(core, outer_selector, target, outer)) return Outcome::kFault;
    if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
    if (!set_accessed(core, target.code)) return Outcome::kFault;
    finish_outer_return(core, target, outer, outer_pointer + op.imm);
    return Outcome::kLeave;
}

}  // namespace

bool build_far_ret(Build& b) {
    b.op.imm = b.instruction.visible_operands() > 0 && b.is_imm(0) ? b.imm(0) & 0xffff : 0;
    b.op.segment = Segment::kSs;
    b.ends_block = true;
    return by_wide_size(b.operand_bits(),
                        [&](auto type) { b.op.handler = far_return<decltype(type)>; });
}

}  // namespace mynah::interpreter
