// XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B. The other instructions that can be locked have their
// locked forms beside their plain ones.

#include "engine/interpreter/alu.h"
#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

template <typename T>
Outcome xchg_reg(Core& core, const Op& op) {
    const T a = core.reg<T>(op.dst), b = core.reg<T>(op.src);
    core.set_reg<T>(op.dst, b);
    core.set_reg<T>(op.src, a);
    return Outcome::kNext;
}

// Locked with or without the prefix.
template <typename T>
Outcome xchg_mem(Core& core, const Op& op) {
    uint64_t linear;
    if (!core.operand_linear(op, sizeof(T), AccessKind::kWrite, linear)) return Outcome::kFault;
    LockedOperand<T> operand(core, linear);
    if (operand.faulted()) return Outcome::kFault;
    T value = core.reg<T>(op.src);
    asm volatile("xchg %[value], %[memory]"
                 : [value] "+r"(value), [memory] "+m"(*operand.get())
                 :
                 : "memory");
    core.set_reg<T>(op.src, value);
    return Outcome::kNext;
}

bool build_xchg(Build& b) {
    const unsigned memory = b.is_mem(0) ? 0 : b.is_mem(1) ? 1 : 2;
    if (memory < 2) b.op.src = b.slot(1 - memory);
    if (memory == 2) {
        b.op.dst = b.slot(0);
        b.op.src = b.slot(1);
    }
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = memory < 2 ? xchg_mem<T> : xchg_reg<T>;
    });
}

// dst, src = dst + src, dst.
template <typename T>
Outcome xadd_reg(Core& core, const Op& op) {
    const T a = core.reg<T>(op.dst), b = core.reg<T>(op.src);
    const T sum = Add::run(a, b, core.s.flags.arithmetic);
    core.set_reg<T>(op.src, a);
    core.set_reg<T>(op.dst, sum);
    return Outcome::kNext;
}
template <typename T, bool kLocked>
Outcome xadd_mem(Core& core, const Op& op) {
    const T b = core.reg<T>(op.src);
    T old{};
    if constexpr (kLocked) {
        uint64_t linear;
        if (!core.operand_linear(op, sizeof(T), AccessKind::kWrite, linear)) return Outcome::kFault;
        LockedOperand<T> operand(core, linear);
        if (operand.faulted()) return Outcome::kFault;
        old = b;
        asm volatile("lock xadd %[old], %[memory]"
                     : [old] "+r"(old), [memory] "+m"(*operand.get())
                     :
                     : "cc", "memory");
        Add::run(old, b, core.s.flags.arithmetic);
    } else {
        const Outcome outcome = modify_operand<EaAny, T>(core, op, [&](T a) {
            old = a;
            return Add::run(a, b, core.s.flags.arithmetic);
        });
        if (outcome != Outcome::kNext) return outcome;
    }
    core.set_reg<T>(op.src, old);
    return Outcome::kNext;
}

bool build_xadd(Build& b) {
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    b.op.src = b.slot(1);
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_reg(0)  ? xadd_reg<T>
                       : b.locked() ? xadd_mem<T, true>
                                    : xadd_mem<T, false>;
    });
}

// If rAX == dst: dst = src; else rAX = dst. Flags as of CMP rAX, dst.
template <typename T>
Outcome cmpxchg_reg(Core& core, const Op& op) {
    const T accumulator = core.reg<T>(kRax), old = core.reg<T>(op.dst);
    Cmp::run(accumulator, old, core.s.flags.arithmetic);
    if (accumulator == old) {
        core.set_reg<T>(op.dst, core.reg<T>(op.src));
    } else {
        core.set_reg<T>(kRax, old);
    }
    return Outcome::kNext;
}
template <typename T, bool kLocked>
Outcome cmpxchg_mem(Core& core, const Op& op) {
    const T accumulator = core.reg<T>(kRax), replacement = core.reg<T>(op.src);
    T old = accumulator;
    if constexpr (kLocked) {
        uint64_t linear;
        if (!core.operand_linear(op, sizeof(T), AccessKind::kWrite, linear)) return Outcome::kFault;
        LockedOperand<T> operand(core, linear);
        if (operand.faulted()) return Outcome::kFault;
        __atomic_compare_exchange_n(operand.get(), &old, replacement, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        Cmp::run(accumulator, old, core.s.flags.arithmetic);
    } else {
        // The destination is written in either case.
        const Outcome outcome = modify_operand<EaAny, T>(core, op, [&](T a) {
            old = a;
            Cmp::run(accumulator, old, core.s.flags.arithmetic);
            return accumulator == old ? replacement : old;
        });
        if (outcome != Outcome::kNext) return outcome;
    }
    if (accumulator != old) core.set_reg<T>(kRax, old);
    return Outcome::kNext;
}

bool build_cmpxchg(Build& b) {
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    b.op.src = b.slot(1);
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_reg(0)  ? cmpxchg_reg<T>
                       : b.locked() ? cmpxchg_mem<T, true>
                                    : cmpxchg_mem<T, false>;
    });
}

void set_zero_flag(Core& core, bool equal) {
    uint16_t& flags = core.s.flags.arithmetic;
    flags = static_cast<uint16_t>(equal ? flags | Flags::kZf : flags & ~Flags::kZf);
}

// Always done locked: without the prefix nobody can tell.
Outcome cmpxchg8b(Core& core, const Op& op) {
    uint64_t linear;
    if (!core.operand_linear(op, 8, AccessKind::kWrite, linear)) return Outcome::kFault;
    LockedOperand<uint64_t> operand(core, linear);
    if (operand.faulted()) return Outcome::kFault;
    uint64_t old = core.reg<uint32_t>(kRax) | static_cast<uint64_t>(core.reg<uint32_t>(kRdx)) << 32;
    const uint64_t replacement =
        core.reg<uint32_t>(kRbx) | static_cast<uint64_t>(core.reg<uint32_t>(kRcx)) << 32;
    const bool equal = __atomic_compare_exchange_n(operand.get(), &old, replacement, false,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    set_zero_flag(core, equal);
    if (!equal) {
        core.set_reg<uint32_t>(kRax, static_cast<uint32_t>(old));
        core.set_reg<uint32_t>(kRdx, static_cast<uint32_t>(old >> 32));
    }
    return Outcome::kNext;
}

Outcome cmpxchg16b(Core& core, const Op& op) {
    uint64_t linear;
    if (!core.operand_linear(op, 16, AccessKind::kWrite, linear)) {
        // Misalignment counts before a non-canonical address.
        if ((core.effective_address(op) & 15) != 0) core.raised(Exception::gp());
        return Outcome::kFault;
    }
    if ((linear & 15) != 0) return core.raise(Exception::gp());
    struct alignas(16) Pair {
        uint64_t low, high;
    };
    LockedOperand<Pair> operand(core, linear);
    if (operand.faulted()) return Outcome::kFault;
    uint64_t low = core.s.gpr[kRax], high = core.s.gpr[kRdx];
    bool equal;
    asm volatile("lock cmpxchg16b %[memory]"
                 : [memory] "+m"(*operand.get()), "+a"(low), "+d"(high), "=@ccz"(equal)
                 : "b"(core.s.gpr[kRbx]), "c"(core.s.gpr[kRcx])
                 : "memory");
    set_zero_flag(core, equal);
    if (!equal) {
        core.s.gpr[kRax] = low;
        core.s.gpr[kRdx] = high;
    }
    return Outcome::kNext;
}

template <Handler kHandler>
bool build(Build& b) {
    return b.done(kHandler);
}

}  // namespace

void add_atomic(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_XCHG] = build_xchg;
    table[ZYDIS_MNEMONIC_XADD] = build_xadd;
    table[ZYDIS_MNEMONIC_CMPXCHG] = build_cmpxchg;
    table[ZYDIS_MNEMONIC_CMPXCHG8B] = build<cmpxchg8b>;
    table[ZYDIS_MNEMONIC_CMPXCHG16B] = build<cmpxchg16b>;
}

}  // namespace mynah::interpreter
