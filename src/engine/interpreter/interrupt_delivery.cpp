// Which event follows which, and real mode's vector table. Gates are in interrupt_gate.cpp.

#include "engine/interpreter/interrupt_delivery.h"

#include "engine/interpreter/core.h"
#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/interrupt_gate.h"
#include "engine/interpreter/stack_frame.h"

namespace mynah::interpreter {

using x86::Segment;
using x86::Vector;
namespace rflags = x86::rflags;

namespace {

// What a second exception makes of a first one [SDM 3A 6.15, table 6-4].
enum class ExceptionClass { kBenign, kContributory, kPageFault, kDoubleFault };

ExceptionClass class_of(Vector vector) {
    switch (vector) {
        case Vector::kDe:
        case Vector::kTs:
        case Vector::kNp:
        case Vector::kSs:
        case Vector::kGp:
            return ExceptionClass::kContributory;
        case Vector::kPf:
            return ExceptionClass::kPageFault;
        case Vector::kDf:
            return ExceptionClass::kDoubleFault;
        default:
            return ExceptionClass::kBenign;
    }
}

bool makes_double_fault(Vector first, Vector second) {
    const ExceptionClass a = class_of(first), b = class_of(second);
    if (a == ExceptionClass::kContributory) return b == ExceptionClass::kContributory;
    if (a == ExceptionClass::kPageFault) {
        return b == ExceptionClass::kContributory || b == ExceptionClass::kPageFault;
    }
    return false;
}

// Registers that tell what happened, written before the handler is entered.
void note_cause(CpuState& s, const Exception& exception) {
    if (exception.vector == Vector::kPf) s.cr2 = exception.address;
    if (exception.vector == Vector::kDb) {
        constexpr uint64_t kBreakpoints = 0xf;
        s.dr6 = (s.dr6 & ~kBreakpoints) | exception.address;
    }
}

}  // namespace

uint64_t pushed_flags(const Core& core, const Event& event) {
    const uint64_t flags = core.s.flags.value();
    if (event.source != EventSource::kException) return flags;
    switch (static_cast<Vector>(event.vector)) {
        case Vector::kDb:  // a trap, or a fault that RF on return must not hide from
        case Vector::kBp:
        case Vector::kOf:
        case Vector::kDf:
        case Vector::kMc:
            return flags;
        default:
            return flags | rflags::kRf;
    }
}

// Interrupts of real mode: IP, CS and FLAGS on the stack, no error code [SDM 3B 20.1.4].
Delivery deliver_real(Core& core, const Event& event) {
    CpuState& s = core.s;
    const unsigned at = event.vector * 4u;
    if (at + 3 > s.idtr.limit) {
        core.fault = Exception::gp(event.idt_code());
        return Delivery::kFault;
    }
    uint32_t target;
    if (!core.load_implicit(s.idtr.base + at, target)) return Delivery::kFault;
    StackWriter stack(core, s.ss(), s.gpr[kRsp], false, AccessMode::kSupervisor, 0);
    if (!stack.has_room(3, 2)) return Delivery::kFault;
    if ((target & 0xffff) > s.cs().limit) {
        core.fault = Exception::gp();
        return Delivery::kFault;
    }
    if (!stack.push(s.flags.value(), 2) || !stack.push(s.cs().selector, 2) ||
        !stack.push(s.rip, 2)) {
        return Delivery::kFault;
    }
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    s.segment(Segment::kCs) = real_segment(static_cast<uint16_t>(target >> 16), s.cs());
    s.rip = target & 0xffff;
    s.flags.system &= ~(rflags::kIf | rflags::kTf | rflags::kRf | rflags::kAc);
    return Delivery::kDone;
}

namespace {

// INT n of virtual-8086 mode with CR4.VME whose bit in the TSS' redirection map is clear goes
// through the task's own vector table at linear address 0 [SDM 3B 20.3.3, table 20-2].
enum class Redirection { kNo, kYes, kFault };

Redirection redirection(Core& core, const Event& event) {
    CpuState& s = core.s;
    if ((s.cr4 & x86::cr4::kVme) != 0) {
        uint16_t map_base;
        if (s.tr.limit < 0x67) {
            core.fault = Exception::gp();
            return Redirection::kFault;
        }
        if (!core.load_implicit(s.tr.base + 0x66, map_base)) return Redirection::kFault;
        // The redirection map's 32 bytes lie just below the I/O map.
        const uint32_t at = map_base - 32u + event.vector / 8u;
        if (map_base < 32 || at > s.tr.limit) {
            core.fault = Exception::gp();
            return Redirection::kFault;
        }
        uint8_t bits;
        if (!core.load_implicit(s.tr.base + at, bits)) return Redirection::kFault;
        if ((bits >> (event.vector % 8) & 1) == 0) return Redirection::kYes;
    }
    if (s.iopl() == 3) return Redirection::kNo;
    core.fault = Exception::gp();
    return Redirection::kFault;
}

Delivery deliver_redirected(Core& core, const Event& event) {
    CpuState& s = core.s;
    uint32_t target;
    if (!core.access_as(AccessMode::kUser, event.vector * 4u, &target, 4, AccessKind::kRead)) {
        return Delivery::kFault;
    }
    const bool virtual_if = s.iopl() < 3;
    uint64_t image = s.flags.value();
    if (virtual_if) {
        image =
            (image & ~rflags::kIf) | rflags::kIopl | (s.flags.has(rflags::kVif) ? rflags::kIf : 0);
    }
    StackWriter stack(core, s.ss(), s.gpr[kRsp], false, AccessMode::kUser, 0);
    if (!stack.has_room(3, 2) || !stack.push(image, 2) || !stack.push(s.cs().selector, 2) ||
        !stack.push(s.rip, 2)) {
        return Delivery::kFault;
    }
    set_stack_pointer_for(s, s.ss(), false, stack.pointer());
    s.segment(Segment::kCs) = v86_segment(static_cast<uint16_t>(target >> 16));
    s.rip = target & 0xffff;
    s.flags.system &= ~(rflags::kTf | rflags::kRf | (virtual_if ? rflags::kVif : rflags::kIf));
    return Delivery::kDone;
}

}  // namespace

Delivery deliver(Core& core, const Event& event) {
    CpuState& s = core.s;
    if (!s.protected_mode()) return deliver_real(core, event);
    if (s.long_mode()) return deliver_long(core, event);
    if (s.virtual_8086() && event.source == EventSource::kIntN) {
        switch (redirection(core, event)) {
            case Redirection::kFault:
                return Delivery::kFault;
            case Redirection::kYes:
                return deliver_redirected(core, event);
            case Redirection::kNo:
                break;
        }
    }
    return deliver_protected(core, event);
}

bool deliver_event(Core& core, uint8_t vector, EventSource source, bool has_error_code,
                   uint32_t error_code) {
    core.s.halted = false;
    return deliver(core, {.vector = vector,
                          .source = source,
                          .has_error_code = has_error_code,
                          .error_code = error_code}) == Delivery::kDone;
}

bool deliver_exception(Core& core, const Exception& exception, EventSource source) {
    Exception current = exception;
    for (;;) {
        note_cause(core.s, current);
        core.events.note(current, core.s.rip, core.linear_rip());
        if (deliver_event(core, static_cast<uint8_t>(current.vector), source,
                          current.has_error_code, current.error_code)) {
            // The handler of a debug exception may touch the debug registers [SDM 3B 17.2.4].
            if (current.vector == Vector::kDb) core.s.dr7 &= ~x86::dr7::kGd;
            core.events.events.newest().delivered = true;
            return true;
        }
        const Exception next = core.fault;
        if (current.vector == Vector::kDf) return false;
        current = makes_double_fault(current.vector, next.vector)
                      ? Exception::with_code(Vector::kDf, 0)
                      : next;
        if (current.vector == Vector::kDf && next.vector == Vector::kPf) core.s.cr2 = next.address;
        source = EventSource::kException;
    }
}

}  // namespace mynah::interpreter
