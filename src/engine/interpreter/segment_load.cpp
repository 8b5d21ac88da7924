// MOV, PUSH and POP of segment registers; LDS LES LFS LGS LSS.

#include "engine/interpreter/segment_load.h"

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/stack.h"

namespace mynah::interpreter {

using x86::Segment;

namespace {

// [SDM 2B MOV, "IF SS is loaded"].
bool load_stack_segment(Core& core, uint16_t selector) {
    CpuState& s = core.s;
    const unsigned cpl = s.cpl(), rpl = selector & x86::selector::kRpl;
    if (is_null(selector)) {
        if (!s.code64() || cpl == 3 || rpl != cpl) return core.raised(Exception::gp());
        s.segment(Segment::kSs) = null_segment(selector, cpl);
        return true;
    }
    const Exception bad = Exception::gp(code_of(selector));
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    if (rpl != cpl || !descriptor.writable_data() || descriptor.dpl() != cpl)
        return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::ss(code_of(selector)));
    if (!set_accessed(core, descriptor)) return false;
    s.segment(Segment::kSs) = descriptor.to_register(selector);
    return true;
}

// [SDM 2B MOV, "IF DS, ES, FS, or GS is loaded"].
bool load_data_segment(Core& core, Segment which, uint16_t selector) {
    CpuState& s = core.s;
    if (is_null(selector)) {
        s.segment(which) = null_segment(selector);
        return true;
    }
    const Exception bad = Exception::gp(code_of(selector));
    Descriptor descriptor;
    if (!read_descriptor(core, selector, bad, descriptor)) return false;
    if (!descriptor.code_or_data() || !descriptor.readable()) return core.raised(bad);
    const bool conforming_code = descriptor.code() && descriptor.conforming();
    const unsigned rpl = selector & x86::selector::kRpl;
    if (!conforming_code && (rpl > descriptor.dpl() || s.cpl() > descriptor.dpl()))
        return core.raised(bad);
    if (!descriptor.present()) return core.raised(Exception::np(code_of(selector)));
    if (!set_accessed(core, descriptor)) return false;
    s.segment(which) = descriptor.to_register(selector);
    return true;
}

}  // namespace

bool load_segment(Core& core, Segment which, uint16_t selector) {
    CpuState& s = core.s;
    if (!s.protected_mode()) {
        s.segment(which) = real_segment(selector, s.segment(which));
        return true;
    }
    if (s.virtual_8086()) {
        s.segment(which) = v86_segment(selector);
        return true;
    }
    return which == Segment::kSs ? load_stack_segment(core, selector)
                                 : load_data_segment(core, which, selector);
}

void drop_privileged_segments(Core& core, unsigned level) {
    for (Segment which : {Segment::kEs, Segment::kFs, Segment::kGs, Segment::kDs}) {
        SegmentRegister& segment = core.s.segment(which);
        if (!segment.usable()) {
            segment.selector = 0;  // a null selector loses its RPL; the base stays
            continue;
        }
        if (segment.dpl() >= level) continue;
        constexpr uint32_t kConformingCode =
            x86::segment_attribute::kCode | x86::segment_attribute::kConformingOrExpandDown;
        if ((segment.attributes & kConformingCode) == kConformingCode) continue;
        segment = null_segment(0);
    }
}

namespace {

Segment segment_number(ZydisRegister reg) {
    switch (reg) {
        case ZYDIS_REGISTER_ES:
            return Segment::kEs;
        case ZYDIS_REGISTER_CS:
            return Segment::kCs;
        case ZYDIS_REGISTER_SS:
            return Segment::kSs;
        case ZYDIS_REGISTER_FS:
            return Segment::kFs;
        case ZYDIS_REGISTER_GS:
            return Segment::kGs;
        default:
            return Segment::kDs;
    }
}

// MOV SS and POP SS hold off interrupts and debug traps for one instruction, so that the stack
// pointer can follow [SDM 3A 6.8.3].
Outcome loaded(Core& core, const Op& op, Segment which) {
    if (which == Segment::kSs) core.s.interrupt_shadow = core.s.debug_shadow = true;
    return core.leave_after(op);
}

// op.aux is the segment register in all of these.
Outcome mov_to_segment_reg(Core& core, const Op& op) {
    const auto which = static_cast<Segment>(op.aux);
    if (!load_segment(core, which, core.reg<uint16_t>(op.src))) return Outcome::kFault;
    return loaded(core, op, which);
}
Outcome mov_to_segment_mem(Core& core, const Op& op) {
    const auto which = static_cast<Segment>(op.aux);
    uint16_t selector;
    if (!load_operand<EaAny>(core, op, selector)) return Outcome::kFault;
    if (!load_segment(core, which, selector)) return Outcome::kFault;
    return loaded(core, op, which);
}

template <typename T>
Outcome mov_segment_to_reg(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, core.s.segments[op.aux].selector);
    return Outcome::kNext;
}
Outcome mov_segment_to_mem(Core& core, const Op& op) {
    return store_operand<EaAny>(core, op, core.s.segments[op.aux].selector) ? Outcome::kNext
                                                                            : Outcome::kFault;
}

// With a 32-bit operand only the selector's two bytes are written, as Intel's processors do
// [SDM 2B PUSH]; with a 64-bit one it is zero-extended.
template <typename T>
Outcome push_segment(Core& core, const Op& op) {
    const uint16_t selector = core.s.segments[op.aux].selector;
    if constexpr (sizeof(T) == 4) {
        const uint64_t sp = wrap_stack(core, stack_pointer(core) - sizeof(T));
        uint64_t linear;
        if (!stack_linear(core, sp, 2, AccessKind::kWrite, linear)) return Outcome::kFault;
        if (!core.store(linear, selector)) return Outcome::kFault;
        set_stack_pointer(core, sp);
        return Outcome::kNext;
    }
    return push(core, static_cast<T>(selector)) ? Outcome::kNext : Outcome::kFault;
}

template <typename T>
Outcome pop_segment(Core& core, const Op& op) {
    const auto which = static_cast<Segment>(op.aux);
    // Only the selector itself is read, whatever the operand size.
    uint16_t value;
    uint64_t sp;
    if (!peek(core, value, sp)) return Outcome::kFault;
    sp = wrap_stack(core, sp - sizeof value + sizeof(T));
    // The stack pointer moves in the size of the stack that was popped from.
    const uint64_t before = core.s.gpr[kRsp];
    set_stack_pointer(core, sp);
    if (!load_segment(core, which, value)) {
        core.s.gpr[kRsp] = before;
        return Outcome::kFault;
    }
    return loaded(core, op, which);
}

// LDS and its kin: offset, then selector behind it.
template <typename T>
Outcome load_far_pointer(Core& core, const Op& op) {
    uint64_t linear, selector_linear;
    const uint64_t offset = core.effective_address(op);
    T pointer;
    uint16_t selector;
    if (!core.segment_linear(op.segment, offset, sizeof(T), AccessKind::kRead, linear)) {
        return Outcome::kFault;
    }
    uint64_t selector_offset = offset + sizeof(T);
    if (op.address_bits != 64) selector_offset &= low_mask(op.address_bits);
    if (!core.segment_linear(op.segment, selector_offset, 2, AccessKind::kRead, selector_linear)) {
        return Outcome::kFault;
    }
    if (!core.load(linear, pointer) || !core.load(selector_linear, selector))
        return Outcome::kFault;
    if (!load_segment(core, static_cast<Segment>(op.aux), selector)) return Outcome::kFault;
    core.set_reg<T>(op.dst, pointer);
    return core.leave_after(op);
}

template <Segment kWhich>
bool build_load_far(Build& b) {
    if (!b.is_mem(1)) return false;
    b.op.dst = b.slot(0);
    b.op.aux = static_cast<uint16_t>(kWhich);
    b.ends_block = true;
    return by_wide_size(b.operand_bits(),
                        [&](auto type) { b.op.handler = load_far_pointer<decltype(type)>; });
}

}  // namespace

bool build_mov_segment(Build& b) {
    const bool to_segment =
        b.is_reg(0) && ZydisRegisterGetClass(b.operand(0).reg.value) == ZYDIS_REGCLASS_SEGMENT;
    const Segment which = segment_number(b.operand(to_segment ? 0 : 1).reg.value);
    b.op.aux = static_cast<uint16_t>(which);
    if (to_segment) {
        if (which == Segment::kCs) return false;
        if (b.is_reg(1)) b.op.src = b.slot(1);
        return b.done_ending_block(b.is_reg(1) ? mov_to_segment_reg : mov_to_segment_mem);
    }
    if (b.is_mem(0)) return b.done(mov_segment_to_mem);
    b.op.dst = b.slot(0);
    return by_wide_size(b.bits(0),
                        [&](auto type) { b.op.handler = mov_segment_to_reg<decltype(type)>; });
}

bool build_push_segment(Build& b) {
    b.op.aux = static_cast<uint16_t>(segment_number(b.operand(0).reg.value));
    b.op.segment = Segment::kSs;
    return by_wide_size(b.operand_bits(),
                        [&](auto type) { b.op.handler = push_segment<decltype(type)>; });
}

bool build_pop_segment(Build& b) {
    b.op.aux = static_cast<uint16_t>(segment_number(b.operand(0).reg.value));
    b.op.segment = Segment::kSs;
    b.ends_block = true;
    return by_wide_size(b.operand_bits(),
                        [&](auto type) { b.op.handler = pop_segment<decltype(type)>; });
}

void add_segment_load(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_LDS] = build_load_far<Segment::kDs>;
    table[ZYDIS_MNEMONIC_LES] = build_load_far<Segment::kEs>;
    table[ZYDIS_MNEMONIC_LFS] = build_load_far<Segment::kFs>;
    table[ZYDIS_MNEMONIC_LGS] = build_load_far<Segment::kGs>;
    table[ZYDIS_MNEMONIC_LSS] = build_load_far<Segment::kSs>;
}

}  // namespace mynah::interpreter
