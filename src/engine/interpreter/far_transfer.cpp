// Far JMP and CALL: to code segments, through call gates and to tasks.

#include "engine/interpreter/far_transfer.h"

#include "engine/interpreter/core.h"
#include "engine/interpreter/interrupt_delivery.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/stack_frame.h"

namespace mynah::interpreter {

using x86::Segment;
namespace type = x86::system_type;

bool contradictory_code(const Core& core, const Descriptor& code) {
    return core.s.long_mode() && code.code64() && code.has(x86::segment_attribute::kDefaultBig);
}

bool valid_target(const Core& core, const Descriptor& code, uint64_t offset) {
    if (core.s.long_mode() && code.code64()) return Core::canonical(offset);
    return offset <= code.limit();
}

void enter_code(Core& core, uint16_t selector, unsigned level, const Descriptor& code,
                uint64_t offset) {
    core.s.segment(Segment::kCs) =
        code.to_register(static_cast<uint16_t>((selector & ~x86::selector::kRpl) | level));
    core.s.rip = offset;
}

Outcome after_task_switch(Core& core, const Op& op, TaskSwitchResult result) {
    if (result == TaskSwitchResult::kFault) return Outcome::kFault;
    // What the new task owes is delivered here, as it is no fault of this instruction any more.
    const auto deliver_now = [&](const Exception& exception) {
        if (deliver_exception(core, exception, EventSource::kException)) return Outcome::kLeave;
        const uint64_t rip = core.s.rip;
        const Outcome outcome = core.stop_after(op, VcpuExit::kShutdown);
        core.s.rip = rip;
        return outcome;
    };
    if (result == TaskSwitchResult::kFaultInNewTask) return deliver_now(core.fault);
    if ((core.pending_debug & x86::dr6::kBt) != 0) {
        core.pending_debug &= ~x86::dr6::kBt;
        return deliver_now(Exception::db(x86::dr6::kBt));
    }
    return Outcome::kLeave;
}

Outcome to_task(Core& core, const Op& op, TaskSwitchCause cause, uint16_t tss_selector) {
    const TaskSwitch request{
        .selector = tss_selector, .cause = cause, .return_rip = core.rip_after(op)};
    return after_task_switch(core, op, switch_task(core, request));
}

namespace {

// Real and virtual-8086 mode.
Outcome far_real(Core& core, const Op& op, FarKind kind, FarPointer target, unsigned size) {
    CpuState& s = core.s;
    StackWriter stack(core, s.ss(), s.gpr[kRsp], false, access_mode_of(s.cpl()), 0);
    if (kind == FarKind::kCall && !stack.has_room(2, size)) return Outcome::kFault;
    if (target.offset > s.cs().limit) return core.raise(Exception::gp());
    if (kind == FarKind::kCall) {
        if (!stack.push(s.cs().selector, size) || !stack.push(core.rip_after(op), size))
            return Outcome::kFault;
        set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    }
    s.segment(Segment::kCs) =
        s.virtual_8086() ? v86_segment(target.selector) : real_segment(target.selector, s.cs());
    s.rip = target.offset;
    return Outcome::kLeave;
}

// To a code segment of the same privilege level [SDM 2A CALL, JMP].
Outcome far_to_code(Core& core, const Op& op, FarKind kind, FarPointer target, unsigned size,
                    Descriptor& code) {
    CpuState& s = core.s;
    const unsigned cpl = s.cpl(), rpl = target.selector & x86::selector::kRpl;
    const Exception bad = Exception::gp(code_of(target.selector));
    if (code.conforming() ? code.dpl() > cpl : (rpl > cpl || code.dpl() != cpl))
        return core.raise(bad);
    if (contradictory_code(core, code)) return core.raise(bad);
    if (!code.present()) return core.raise(Exception::np(code_of(target.selector)));

    // Silicon takes stack and target for what they are in the mode of the target: from 64-bit to
    // compatibility mode it pushes at ESP and drops the offset's upper half.
    const bool flat64 = s.long_mode() && code.code64();
    if (!flat64) target.offset &= 0xffffffff;
    StackWriter stack(core, s.ss(), s.gpr[kRsp], flat64, access_mode_of(cpl), 0);
    // As with near calls, the pushes come before the target is looked at.
    if (kind == FarKind::kCall) {
        if (!stack.has_room(2, size) || !stack.push(s.cs().selector, size) ||
            !stack.push(core.rip_after(op), size))
            return Outcome::kFault;
    }
    if (!valid_target(core, code, target.offset)) return core.raise(Exception::gp());
    if (!set_accessed(core, code)) return Outcome::kFault;
    if (kind == FarKind::kCall) set_stack_pointer_for(s, s.ss(), flat64, stack.pointer());
    enter_code(core, target.selector, cpl, code, target.offset);
    return Outcome::kLeave;
}

Outcome far_to_system(Core& core, const Op& op, FarKind kind, FarPointer target,
                      Descriptor& descriptor) {
    const unsigned cpl = core.s.cpl(), rpl = target.selector & x86::selector::kRpl;
    const Exception bad = Exception::gp(code_of(target.selector));
    const bool long_mode = core.s.long_mode();
    const auto cause = kind == FarKind::kCall ? TaskSwitchCause::kCall : TaskSwitchCause::kJump;
    switch (descriptor.type()) {
        case type::kCallGate16:
            if (long_mode) return core.raise(bad);
            [[fallthrough]];
        case type::kCallGate32:
            if (descriptor.dpl() < cpl || descriptor.dpl() < rpl) return core.raise(bad);
            return through_call_gate(core, op, kind, target.selector, descriptor);
        case type::kTaskGate:
            if (long_mode || descriptor.dpl() < cpl || descriptor.dpl() < rpl)
                return core.raise(bad);
            if (!descriptor.present()) return core.raise(Exception::np(code_of(target.selector)));
            return to_task(core, op, cause, descriptor.gate_selector());
        case type::kTss16Available:
        case type::kTss32Available:
            if (long_mode || descriptor.dpl() < cpl || descriptor.dpl() < rpl)
                return core.raise(bad);
            return to_task(core, op, cause, target.selector);
        default:
            return core.raise(bad);
    }
}

Outcome far(Core& core, const Op& op, FarKind kind, FarPointer target, unsigned size) {
    if (core.s.real_or_v86()) return far_real(core, op, kind, target, size);
    if (is_null(target.selector)) return core.raise(Exception::gp());
    Descriptor descriptor;
    if (!read_descriptor(core, target.selector, Exception::gp(code_of(target.selector)),
                         descriptor)) {
        return Outcome::kFault;
    }
    if (descriptor.code()) return far_to_code(core, op, kind, target, size, descriptor);
    if (descriptor.code_or_data()) return core.raise(Exception::gp(code_of(target.selector)));
    return far_to_system(core, op, kind, target, descriptor);
}

// Immediate pointer: op.imm is the offset, op.aux the selector.
template <typename T, FarKind kKind>
Outcome far_immediate(Core& core, const Op& op) {
    return far(core, op, kKind, {.selector = op.aux, .offset = op.imm}, sizeof(T));
}

template <typename T, FarKind kKind>
Outcome far_memory(Core& core, const Op& op) {
    const uint64_t ea = core.effective_address(op);
    uint64_t behind = ea + sizeof(T);
    if (op.address_bits != 64) behind &= low_mask(op.address_bits);
    uint64_t linear, selector_linear;
    T offset;
    uint16_t selector;
    if (!core.segment_linear(op.segment, ea, sizeof(T), AccessKind::kRead, linear) ||
        !core.segment_linear(op.segment, behind, 2, AccessKind::kRead, selector_linear) ||
        !core.load(linear, offset) || !core.load(selector_linear, selector)) {
        return Outcome::kFault;
    }
    return far(core, op, kKind, {.selector = selector, .offset = offset}, sizeof(T));
}

template <FarKind kKind>
bool build_far_to(Build& b) {
    b.ends_block = true;
    if (b.operand(0).type == ZYDIS_OPERAND_TYPE_POINTER) {
        b.op.imm = b.operand(0).ptr.offset;
        if (b.operand_bits() == 16) b.op.imm &= 0xffff;
        b.op.aux = b.operand(0).ptr.segment;
        return by_wide_size(b.operand_bits(), [&](auto type) {
            b.op.handler = far_immediate<decltype(type), kKind>;
        });
    }
    return b.is_mem(0) && by_wide_size(b.operand_bits(), [&](auto type) {
               b.op.handler = far_memory<decltype(type), kKind>;
           });
}

}  // namespace

bool build_far_call(Build& b) { return build_far_to<FarKind::kCall>(b); }
bool build_far_jmp(Build& b) { return build_far_to<FarKind::kJump>(b); }

void add_far_transfer(BuilderTable& table) {
    add_interrupt_return(table);
    add_interrupt_instructions(table);
}

}  // namespace mynah::interpreter
