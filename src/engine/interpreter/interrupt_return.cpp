// IRET in all its forms [SDM 2A IRET].

#include "engine/interpreter/core.h"
#include "engine/interpreter/far_transfer.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/stack_frame.h"

namespace mynah::interpreter {

using x86::Segment;
namespace rflags = x86::rflags;

namespace {

// Which flags the popped image may change at the current privilege level.
template <typename T>
uint64_t loadable_flags(const CpuState& s) {
    uint64_t mask = rflags::kArithmetic | rflags::kTf | rflags::kDf | rflags::kNt;
    if (sizeof(T) > 2) mask |= rflags::kRf | rflags::kAc | rflags::kId;
    if (s.cpl() <= s.iopl()) mask |= rflags::kIf;
    if (s.cpl() == 0) {
        mask |= rflags::kIopl;
        if (sizeof(T) > 2) mask |= rflags::kVif | rflags::kVip;
    }
    return mask;
}

uint64_t merged(const CpuState& s, uint64_t image, uint64_t mask) {
    return (s.flags.value() & ~mask) | (image & mask);
}

template <typename T>
bool pop_frame(StackReader& stack, uint64_t& rip, uint64_t& cs, uint64_t& flags) {
    return stack.pop(rip, sizeof(T)) && stack.pop(cs, sizeof(T)) && stack.pop(flags, sizeof(T));
}

template <typename T>
Outcome iret_real(Core& core) {
    CpuState& s = core.s;
    StackReader stack(core);
    uint64_t rip, cs, image;
    if (!pop_frame<T>(stack, rip, cs, image)) return Outcome::kFault;
    if (rip > s.cs().limit) return core.raise(Exception::gp());
    constexpr uint64_t kChanged = sizeof(T) == 2 ? 0x7fd5 : 0x257fd5;  // all but VM, VIF and VIP
    s.flags.set(merged(s, image, kChanged));
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    s.segment(Segment::kCs) = real_segment(static_cast<uint16_t>(cs), s.cs());
    s.rip = rip;
    return Outcome::kLeave;
}

// From virtual-8086 mode to itself, with IOPL 3; or with CR4.VME, where VIF takes IF's place.
template <typename T>
Outcome iret_v86(Core& core) {
    CpuState& s = core.s;
    const bool vme = s.iopl() < 3;
    if (vme && ((s.cr4 & x86::cr4::kVme) == 0 || sizeof(T) != 2))
        return core.raise(Exception::gp());
    StackReader stack(core);
    uint64_t rip, cs, image;
    if (!pop_frame<T>(stack, rip, cs, image)) return Outcome::kFault;
    if (rip > 0xffff) return core.raise(Exception::gp());
    if (vme) {
        const bool pending = (image & rflags::kIf) != 0 && s.flags.has(rflags::kVip);
        if (pending || (image & rflags::kTf) != 0) return core.raise(Exception::gp());
        constexpr uint64_t kChanged = 0x7fd5 & ~(rflags::kIopl | rflags::kIf);
        uint64_t flags = merged(s, image, kChanged) & ~rflags::kVif;
        if ((image & rflags::kIf) != 0) flags |= rflags::kVif;
        s.flags.set(flags);
    } else {
        constexpr uint64_t kChanged = (sizeof(T) == 2 ? 0x7fd5 : 0x257fd5) & ~rflags::kIopl;
        s.flags.set(merged(s, image, kChanged));
    }
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    s.segment(Segment::kCs) = v86_segment(static_cast<uint16_t>(cs));
    s.rip = rip;
    return Outcome::kLeave;
}

// The popped image has VM set: ESP, SS, ES, DS, FS and GS follow.
Outcome return_to_v86(Core& core, StackReader& stack, uint64_t rip, uint64_t cs, uint64_t image) {
    CpuState& s = core.s;
    uint64_t esp, ss, es, ds, fs, gs;
    const bool popped = stack.pop(esp, 4) && stack.pop(ss, 4) && stack.pop(es, 4) &&
                        stack.pop(ds, 4) && stack.pop(fs, 4) && stack.pop(gs, 4);
    if (!popped) return Outcome::kFault;
    if ((rip & 0xffffffff) > 0xffff) return core.raise(Exception::gp());
    const auto load = [&s](Segment which, uint64_t selector) {
        s.segment(which) = v86_segment(static_cast<uint16_t>(selector));
    };
    load(Segment::kCs, cs);
    load(Segment::kSs, ss);
    load(Segment::kEs, es);
    load(Segment::kDs, ds);
    load(Segment::kFs, fs);
    load(Segment::kGs, gs);
    constexpr uint64_t kLoadable = 0x3f7fd7;
    s.flags.set(image & kLoadable);
    s.gpr[kRsp] = esp & 0xffffffff;
    s.rip = rip & 0xffff;
    return Outcome::kLeave;
}

// NT: back to the task the current TSS links to.
Outcome return_to_task(Core& core, const Op& op) {
    if (core.s.long_mode()) return core.raise(Exception::gp());
    uint16_t link;
    if (!core.load_implicit(core.s.tr.base, link)) return Outcome::kFault;
    return to_task(core, op, TaskSwitchCause::kReturn, link);
}

template <typename T>
Outcome iret_protected(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (s.flags.has(rflags::kNt)) return return_to_task(core, op);
    StackReader stack(core);
    ReturnTarget target;
    uint64_t cs, image;
    if (!pop_frame<T>(stack, target.offset, cs, image)) return Outcome::kFault;
    if ((image & rflags::kVm) != 0 && sizeof(T) == 4 && s.cpl() == 0 && !s.long_mode()) {
        return return_to_v86(core, stack, target.offset, cs, image);
    }
    if (!read_return_code(core, static_cast<uint16_t>(cs), target)) return Outcome::kFault;

    const uint64_t flags = merged(s, image, loadable_flags<T>(s));
    const bool outer = target.level() != s.cpl();
    // From 64-bit mode the stack is popped whatever the level.
    if (!outer && !s.code64()) {
        if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
        if (!set_accessed(core, target.code)) return Outcome::kFault;
        set_stack_pointer_for(s, s.ss(), false, stack.pointer());
        finish_return(core, target);
        s.flags.set(flags);
        return Outcome::kLeave;
    }
    uint64_t outer_pointer, outer_selector;
    SegmentRegister outer_stack;
    if (!stack.pop(outer_pointer, sizeof(T)) || !stack.pop(outer_selector, sizeof(T)))
        return Outcome::kFault;
    if (!read_return_stack(core, static_cast<uint16_t>(outer_selector), target, outer_stack)) {
        return Outcome::kFault;
    }
    if (!valid_target(core, target.code, target.offset)) return core.raise(Exception::gp());
    if (!set_accessed(core, target.code)) return Outcome::kFault;
    if (outer) {
        finish_outer_return(core, target, outer_stack, outer_pointer);
    } else {
        finish_return(core, target);
        s.segment(Segment::kSs) = outer_stack;
        set_stack_pointer_for(s, outer_stack, s.code64(), outer_pointer);
    }
    s.flags.set(flags);
    return Outcome::kLeave;
}

template <typename T>
Outcome iret(Core& core, const Op& op) {
    CpuState& s = core.s;
    Outcome outcome;
    if (!s.protected_mode()) {
        outcome = iret_real<T>(core);
    } else if (s.virtual_8086()) {
        outcome = iret_v86<T>(core);
    } else {
        outcome = iret_protected<T>(core, op);
    }
    // IRET ends the blocking of NMIs, also when it faults [SDM 3A 6.7.1].
    s.nmi_blocked = false;
    return outcome;
}

bool build_iret(Build& b) {
    b.op.segment = Segment::kSs;
    b.ends_block = true;
    return by_wide_size(b.operand_bits(), [&](auto type) { b.op.handler = iret<decltype(type)>; });
}

}  // namespace

void add_interrupt_return(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_IRET] = table[ZYDIS_MNEMONIC_IRETD] = table[ZYDIS_MNEMONIC_IRETQ] =
        build_iret;
}

}  // namespace mynah::interpreter
