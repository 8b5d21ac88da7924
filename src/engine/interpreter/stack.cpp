// PUSH POP (general registers, memory, immediates), PUSHA POPA, ENTER LEAVE. PUSH and POP of
// segment registers are in system*.cpp.

#include "engine/interpreter/stack.h"

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

template <typename T>
Outcome push_reg(Core& core, const Op& op) {
    return push(core, core.reg<T>(op.src)) ? Outcome::kNext : Outcome::kFault;
}
template <typename T>
Outcome push_imm(Core& core, const Op& op) {
    return push(core, static_cast<T>(op.imm)) ? Outcome::kNext : Outcome::kFault;
}
template <typename T>
Outcome push_mem(Core& core, const Op& op) {
    T value;
    uint64_t linear;
    if (!core.operand_linear(op, sizeof(T), AccessKind::kRead, linear) ||
        !core.load(linear, value)) {
        return Outcome::kFault;
    }
    return push(core, value) ? Outcome::kNext : stack_fault(core);
}

bool build_push(Build& b) {
    if (b.is_reg(0) && ZydisRegisterGetClass(b.operand(0).reg.value) == ZYDIS_REGCLASS_SEGMENT) {
        return build_push_segment(b);
    }
    if (b.is_reg(0)) b.op.src = b.slot(0);
    if (b.is_imm(0)) b.op.imm = b.imm(0);
    if (!b.is_mem(0)) b.op.segment = x86::Segment::kSs;
    return by_wide_size(b.operand_bits(), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_reg(0) ? push_reg<T> : b.is_imm(0) ? push_imm<T> : push_mem<T>;
    });
}

// The stack pointer is incremented before a popped value is written to it.
template <typename T>
Outcome pop_reg(Core& core, const Op& op) {
    T value;
    if (!pop(core, value)) return Outcome::kFault;
    core.set_reg<T>(op.dst, value);
    return Outcome::kNext;
}
// An address that uses the stack pointer uses the incremented one.
template <typename T>
Outcome pop_mem(Core& core, const Op& op) {
    T value;
    uint64_t sp;
    if (!peek(core, value, sp)) return stack_fault(core);
    const uint64_t before = core.s.gpr[kRsp];
    set_stack_pointer(core, sp);
    uint64_t linear;
    if (core.operand_linear(op, sizeof(T), AccessKind::kWrite, linear) &&
        core.store(linear, value)) {
        return Outcome::kNext;
    }
    core.s.gpr[kRsp] = before;
    return Outcome::kFault;
}

bool build_pop(Build& b) {
    if (b.is_reg(0) && ZydisRegisterGetClass(b.operand(0).reg.value) == ZYDIS_REGCLASS_SEGMENT) {
        return build_pop_segment(b);
    }
    if (b.is_reg(0)) {
        b.op.dst = b.slot(0);
        b.op.segment = x86::Segment::kSs;
    }
    return by_wide_size(b.operand_bits(), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_reg(0) ? pop_reg<T> : pop_mem<T>;
    });
}

// PUSHA and POPA access element by element as far as #AC goes.
template <typename T>
bool frame_aligned(Core& core, uint64_t linear) {
    return !core.alignment_checked() || linear % sizeof(T) == 0 || core.raised(Exception::ac());
}

template <typename T>
Outcome pusha(Core& core, const Op&) {
    T frame[8];  // in memory order: rDI lowest
    for (unsigned i = 0; i < 8; ++i) frame[7 - i] = core.reg<T>(i);
    const uint64_t sp = wrap_stack(core, stack_pointer(core) - sizeof frame);
    uint64_t linear;
    if (core.mode.stack_size == CodeSize::k16 && sp > 0x10000 - sizeof frame) {
        return core.raise(Exception::ss());  // wraps in the middle
    }
    if (!stack_linear(core, sp, sizeof frame, AccessKind::kWrite, linear)) return Outcome::kFault;
    if (!frame_aligned<T>(core, linear) || !core.store_bytes(linear, frame, sizeof frame)) {
        return Outcome::kFault;
    }
    set_stack_pointer(core, sp);
    return Outcome::kNext;
}

template <typename T>
Outcome popa(Core& core, const Op&) {
    T frame[8];
    const uint64_t sp = stack_pointer(core);
    uint64_t linear;
    if (!stack_linear(core, sp, sizeof frame, AccessKind::kRead, linear)) return Outcome::kFault;
    if (!frame_aligned<T>(core, linear) || !core.load_bytes(linear, frame, sizeof frame)) {
        return Outcome::kFault;
    }
    for (unsigned i = 0; i < 8; ++i) {
        if (i != kRsp) core.set_reg<T>(i, frame[7 - i]);
    }
    set_stack_pointer(core, wrap_stack(core, sp + sizeof frame));
    return Outcome::kNext;
}

// ENTER size, level: op.imm is the size, op.aux the level [SDM 2A ENTER].
template <typename T>
Outcome enter(Core& core, const Op& op) {
    const uint64_t rsp = core.s.gpr[kRsp];
    const auto undo = [&] {
        core.s.gpr[kRsp] = rsp;
        return Outcome::kFault;
    };
    if (!push(core, core.reg<T>(kRbp))) return undo();
    const uint64_t frame = core.s.gpr[kRsp];
    const unsigned level = op.aux;
    if (level > 0) {
        uint64_t bp = core.s.gpr[kRbp];
        for (unsigned i = 1; i < level; ++i) {
            bp = wrap_stack(core, bp - sizeof(T));
            uint64_t linear;
            T value;
            if (!stack_linear(core, bp, sizeof(T), AccessKind::kRead, linear)) return undo();
            if (!core.load(linear, value) || !push(core, value)) return undo();
        }
        if (!push(core, static_cast<T>(frame))) return undo();
    }
    const uint64_t sp = wrap_stack(core, stack_pointer(core) - op.imm);
    uint64_t linear;  // the new top must be writable
    if (!stack_linear(core, sp, sizeof(T), AccessKind::kWrite, linear)) return undo();
    if (!core.probe_store(linear, sizeof(T))) return undo();
    set_stack_pointer(core, sp);
    core.set_reg<T>(kRbp, static_cast<T>(frame));
    return Outcome::kNext;
}

template <typename T>
Outcome leave(Core& core, const Op&) {
    const uint64_t at = wrap_stack(core, core.s.gpr[kRbp]);
    uint64_t linear;
    T value;
    if (!stack_linear(core, at, sizeof(T), AccessKind::kRead, linear)) return Outcome::kFault;
    if (!core.load(linear, value)) return Outcome::kFault;
    set_stack_pointer(core, wrap_stack(core, at + sizeof(T)));
    core.set_reg<T>(kRbp, value);
    return Outcome::kNext;
}

bool build_pusha(Build& b) {
    b.op.segment = x86::Segment::kSs;
    return b.done(b.mnemonic() == ZYDIS_MNEMONIC_PUSHAD ? pusha<uint32_t> : pusha<uint16_t>);
}
bool build_popa(Build& b) {
    b.op.segment = x86::Segment::kSs;
    return b.done(b.mnemonic() == ZYDIS_MNEMONIC_POPAD ? popa<uint32_t> : popa<uint16_t>);
}
bool build_enter(Build& b) {
    b.op.segment = x86::Segment::kSs;
    b.op.imm = b.imm(0) & 0xffff;
    b.op.aux = static_cast<uint16_t>(b.imm(1) & 31);
    return by_wide_size(b.operand_bits(), [&](auto type) { b.op.handler = enter<decltype(type)>; });
}
bool build_leave(Build& b) {
    b.op.segment = x86::Segment::kSs;
    return by_wide_size(b.operand_bits(), [&](auto type) { b.op.handler = leave<decltype(type)>; });
}

}  // namespace

void add_stack(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_PUSH] = build_push;
    table[ZYDIS_MNEMONIC_POP] = build_pop;
    table[ZYDIS_MNEMONIC_PUSHA] = table[ZYDIS_MNEMONIC_PUSHAD] = build_pusha;
    table[ZYDIS_MNEMONIC_POPA] = table[ZYDIS_MNEMONIC_POPAD] = build_popa;
    table[ZYDIS_MNEMONIC_ENTER] = build_enter;
    table[ZYDIS_MNEMONIC_LEAVE] = build_leave;
}

}  // namespace mynah::interpreter
