// Interrupt, trap and task gates of protected and long mode [SDM 2A INT n, 3A 6.12, 6.14].

#include "engine/interpreter/interrupt_gate.h"

#include "engine/interpreter/core.h"
#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/stack_frame.h"
#include "engine/interpreter/task_switch.h"

namespace mynah::interpreter {

using x86::Segment;
namespace type = x86::system_type;
namespace rflags = x86::rflags;

namespace {

Delivery refuse(Core& core, const Exception& exception) {
    core.fault = exception;
    return Delivery::kFault;
}

// Reads the gate of a vector and checks its type, DPL and presence.
bool read_gate(Core& core, const Event& event, unsigned size, Descriptor& gate) {
    CpuState& s = core.s;
    const Exception bad = Exception::gp(event.idt_code());
    const unsigned at = event.vector * size;
    if (at + size - 1 > s.idtr.limit) return core.raised(bad);
    gate.address = s.idtr.base + at;
    if (!core.load_implicit(gate.address, gate.low)) return false;
    if (size == 16 && !core.load_implicit(gate.address + 8, gate.high)) return false;
    bool known = gate.type() == type::kInterruptGate32 || gate.type() == type::kTrapGate32;
    if (size == 8) {
        known |= gate.type() == type::kInterruptGate16 || gate.type() == type::kTrapGate16 ||
                 gate.type() == type::kTaskGate;
    } else {
        known &= gate.upper_type_clear();
    }
    if (gate.code_or_data() || !known) return core.raised(bad);
    if (event.checks_dpl() && gate.dpl() < s.cpl()) return core.raised(bad);
    if (!gate.present()) return core.raised(Exception::np(event.idt_code()));
    return true;
}

// The handler's code segment; `level` is the privilege it runs with.
bool read_handler_code(Core& core, const Event& event, uint16_t selector, Descriptor& code,
                       unsigned& level) {
    CpuState& s = core.s;
    if (is_null(selector)) return core.raised(Exception::gp(event.ext()));
    const Exception bad = Exception::gp(code_of(selector) | event.ext());
    if (!read_descriptor(core, selector, bad, code)) return false;
    if (!code.code() || code.dpl() > s.cpl()) return core.raised(bad);
    if (s.long_mode() && (!code.code64() || code.has(x86::segment_attribute::kDefaultBig))) {
        return core.raised(bad);
    }
    if (!code.present()) return core.raised(Exception::np(code_of(selector) | event.ext()));
    level = code.conforming() ? s.cpl() : code.dpl();
    if (s.virtual_8086() && level != 0) return core.raised(bad);
    return true;
}

// Where the gate leads, all checks passed.
struct Target {
    Descriptor code;
    uint16_t selector;
    unsigned level;
    uint64_t offset;
    bool wide;       // 32-bit gate: frame elements of 4 bytes
    bool interrupt;  // clears IF
};

void enter(Core& core, const Target& target) {
    CpuState& s = core.s;
    s.segment(Segment::kCs) = target.code.to_register(
        static_cast<uint16_t>((target.selector & ~x86::selector::kRpl) | target.level));
    s.rip = target.offset;
    s.flags.system &= ~(rflags::kTf | rflags::kNt | rflags::kRf | rflags::kVm);
    if (target.interrupt) s.flags.system &= ~rflags::kIf;
}

// Same privilege level: the frame goes on the current stack.
Delivery push_on_same_stack(Core& core, const Event& event, const Target& target) {
    CpuState& s = core.s;
    const unsigned size = target.wide ? 4 : 2;
    StackWriter stack(core, s.ss(), s.gpr[kRsp], false, access_mode_of(s.cpl()), event.ext());
    if (!stack.has_room(event.has_error_code ? 4 : 3, size)) return Delivery::kFault;
    if (target.offset > target.code.limit()) return refuse(core, Exception::gp(event.ext()));
    const bool pushed = stack.push(pushed_flags(core, event), size) &&
                        stack.push(s.cs().selector, size) && stack.push(s.rip, size) &&
                        (!event.has_error_code || stack.push(event.error_code, size));
    if (!pushed) return Delivery::kFault;
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    enter(core, target);
    return Delivery::kDone;
}

bool push_v86_segments(const CpuState& s, StackWriter& stack, unsigned size) {
    for (Segment which : {Segment::kGs, Segment::kFs, Segment::kDs, Segment::kEs}) {
        if (!stack.push(s.segment(which).selector, size)) return false;
    }
    return true;
}

// More privileged: a stack of the TSS; from virtual-8086 mode the data segments are saved as well.
Delivery push_on_inner_stack(Core& core, const Event& event, const Target& target) {
    CpuState& s = core.s;
    const unsigned size = target.wide ? 4 : 2;
    const bool v86 = s.virtual_8086();
    InnerStack inner;
    if (!inner_stack(core, target.level, event.ext(), inner)) return Delivery::kFault;
    StackWriter stack(core, inner.segment, inner.pointer, false, access_mode_of(target.level),
                      code_of(inner.segment.selector) | event.ext());
    const unsigned count = 5u + (event.has_error_code ? 1 : 0) + (v86 ? 4 : 0);
    if (!stack.has_room(count, size)) return Delivery::kFault;
    if (target.offset > target.code.limit()) return refuse(core, Exception::gp(event.ext()));
    const bool pushed = (!v86 || push_v86_segments(s, stack, size)) &&
                        stack.push(s.ss().selector, size) && stack.push(s.gpr[kRsp], size) &&
                        stack.push(pushed_flags(core, event), size) &&
                        stack.push(s.cs().selector, size) && stack.push(s.rip, size) &&
                        (!event.has_error_code || stack.push(event.error_code, size));
    if (!pushed) return Delivery::kFault;
    if (v86) {
        for (Segment which : {Segment::kGs, Segment::kFs, Segment::kDs, Segment::kEs}) {
            s.segment(which) = null_segment(0);
        }
    }
    s.segment(Segment::kSs) = inner.segment;
    set_stack_pointer_for(s, inner.segment, false, stack.pointer());
    enter(core, target);
    return Delivery::kDone;
}

Delivery take_task_gate(Core& core, const Event& event, const Descriptor& gate) {
    const TaskSwitch request{.selector = gate.gate_selector(),
                             .cause = TaskSwitchCause::kEvent,
                             .return_rip = core.s.rip,
                             .ext = event.ext(),
                             .push_error_code = event.has_error_code,
                             .error_code = event.error_code};
    switch (switch_task(core, request)) {
        case TaskSwitchResult::kDone:
            return Delivery::kDone;
        case TaskSwitchResult::kFault:
            return Delivery::kFault;
        case TaskSwitchResult::kFaultInNewTask:
            break;
    }
    return Delivery::kFaultInNewTask;
}

}  // namespace

Delivery deliver_protected(Core& core, const Event& event) {
    Descriptor gate;
    if (!read_gate(core, event, 8, gate)) return Delivery::kFault;
    if (gate.type() == type::kTaskGate) return take_task_gate(core, event, gate);

    Target target;
    target.selector = gate.gate_selector();
    if (!read_handler_code(core, event, target.selector, target.code, target.level))
        return Delivery::kFault;
    if (!set_accessed(core, target.code)) return Delivery::kFault;
    target.wide = gate.type() == type::kInterruptGate32 || gate.type() == type::kTrapGate32;
    target.interrupt =
        gate.type() == type::kInterruptGate32 || gate.type() == type::kInterruptGate16;
    target.offset = target.wide ? gate.gate_offset() : gate.gate_offset() & 0xffff;
    return target.level < core.s.cpl() ? push_on_inner_stack(core, event, target)
                                       : push_on_same_stack(core, event, target);
}

// Long mode always pushes SS and RSP, aligns the stack to 16 bytes, and may switch to one of the
// interrupt stacks [SDM 3A 6.14.2 to 6.14.5].
Delivery deliver_long(Core& core, const Event& event) {
    CpuState& s = core.s;
    Descriptor gate;
    if (!read_gate(core, event, 16, gate)) return Delivery::kFault;
    Target target;
    target.selector = gate.gate_selector();
    if (!read_handler_code(core, event, target.selector, target.code, target.level))
        return Delivery::kFault;
    if (!set_accessed(core, target.code)) return Delivery::kFault;
    target.wide = true;
    target.interrupt = gate.type() == type::kInterruptGate32;
    target.offset = gate.gate_offset64();

    InnerStack inner{.segment = s.ss(), .pointer = s.gpr[kRsp]};
    const bool switches = target.level < s.cpl();
    if (gate.gate_ist() != 0 || switches) {
        if (!inner_stack64(core, target.level, gate.gate_ist(), event.ext(), inner))
            return Delivery::kFault;
        if (!switches) inner.segment = s.ss();
    }
    StackWriter stack(core, inner.segment, align_down(inner.pointer, 16), true,
                      access_mode_of(target.level), event.ext());
    const uint64_t frame[] = {event.error_code,          s.rip,       s.cs().selector,
                              pushed_flags(core, event), s.gpr[kRsp], s.ss().selector};
    const unsigned skipped = event.has_error_code ? 0 : 1;
    if (!Core::canonical(target.offset)) return refuse(core, Exception::gp(event.ext()));
    if (!stack.push_frame64(frame + skipped, 6 - skipped)) return Delivery::kFault;
    s.segment(Segment::kSs) = inner.segment;
    s.gpr[kRsp] = stack.pointer();
    enter(core, target);
    return Delivery::kDone;
}

}  // namespace mynah::interpreter
