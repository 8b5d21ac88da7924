#pragma once

// Handlers for every operand form of a two-operand (alu.h) or one-operand instruction, and the
// choice among them.

#include "engine/interpreter/alu.h"
#include "engine/interpreter/operand.h"

namespace mynah::interpreter {

template <class Alu, typename T>
Outcome alu_reg_reg(Core& core, const Op& op) {
    const T result = Alu::run(core.reg<T>(op.dst), core.reg<T>(op.src), core.s.flags.arithmetic);
    if constexpr (Alu::kWrites) core.set_reg<T>(op.dst, result);
    return Outcome::kNext;
}

template <class Alu, typename T>
Outcome alu_reg_imm(Core& core, const Op& op) {
    const T result = Alu::run(core.reg<T>(op.dst), static_cast<T>(op.imm), core.s.flags.arithmetic);
    if constexpr (Alu::kWrites) core.set_reg<T>(op.dst, result);
    return Outcome::kNext;
}

template <class Alu, typename T, class Ea>
Outcome alu_reg_mem(Core& core, const Op& op) {
    T b;
    if (!load_operand<Ea>(core, op, b)) return Outcome::kFault;
    const T result = Alu::run(core.reg<T>(op.dst), b, core.s.flags.arithmetic);
    if constexpr (Alu::kWrites) core.set_reg<T>(op.dst, result);
    return Outcome::kNext;
}

// kImm: the second operand is op.imm rather than register op.src.
template <class Alu, typename T, class Ea, bool kImm>
Outcome alu_mem(Core& core, const Op& op) {
    const T b = kImm ? static_cast<T>(op.imm) : core.reg<T>(op.src);
    if constexpr (Alu::kWrites) {
        return modify_operand<Ea, T>(core, op,
                                     [&](T a) { return Alu::run(a, b, core.s.flags.arithmetic); });
    } else {
        T a;
        if (!load_operand<Ea>(core, op, a)) return Outcome::kFault;
        Alu::run(a, b, core.s.flags.arithmetic);
        return Outcome::kNext;
    }
}

template <class Alu, typename T, bool kImm>
Outcome alu_mem_locked(Core& core, const Op& op) {
    uint64_t linear;
    if (!core.operand_linear(op, sizeof(T), AccessKind::kWrite, linear)) return Outcome::kFault;
    const T b = kImm ? static_cast<T>(op.imm) : core.reg<T>(op.src);
    LockedOperand<T> operand(core, linear);
    if (operand.faulted()) return Outcome::kFault;
    Alu::run_locked(operand.get(), b, core.s.flags.arithmetic);
    return Outcome::kNext;
}

template <class Alu>
bool build_alu(Build& b) {
    const bool imm = b.is_imm(1);
    if (imm) b.op.imm = b.imm(1);
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (b.is_reg(0) && b.is_reg(1)) b.op.handler = alu_reg_reg<Alu, T>;
        if (b.is_reg(0) && imm) b.op.handler = alu_reg_imm<Alu, T>;
        if constexpr (Alu::kWrites) {
            if (b.locked()) {
                b.op.handler = imm ? alu_mem_locked<Alu, T, true> : alu_mem_locked<Alu, T, false>;
                return;
            }
        }
        by_ea(b, [&](auto ea) {
            using Ea = decltype(ea);
            if (b.is_mem(1)) b.op.handler = alu_reg_mem<Alu, T, Ea>;
            if (b.is_mem(0))
                b.op.handler = imm ? alu_mem<Alu, T, Ea, true> : alu_mem<Alu, T, Ea, false>;
        });
    });
}

template <class Unary, typename T>
Outcome unary_reg(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, Unary::run(core.reg<T>(op.dst), core.s.flags.arithmetic));
    return Outcome::kNext;
}

template <class Unary, typename T, class Ea>
Outcome unary_mem(Core& core, const Op& op) {
    return modify_operand<Ea, T>(core, op,
                                 [&](T a) { return Unary::run(a, core.s.flags.arithmetic); });
}

template <class Unary, typename T>
Outcome unary_mem_locked(Core& core, const Op& op) {
    uint64_t linear;
    if (!core.operand_linear(op, sizeof(T), AccessKind::kWrite, linear)) return Outcome::kFault;
    LockedOperand<T> operand(core, linear);
    if (operand.faulted()) return Outcome::kFault;
    Unary::run_locked(operand.get(), core.s.flags.arithmetic);
    return Outcome::kNext;
}

template <class Unary>
bool build_unary(Build& b) {
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (b.is_reg(0)) {
            b.op.handler = unary_reg<Unary, T>;
        } else if (b.locked()) {
            b.op.handler = unary_mem_locked<Unary, T>;
        } else {
            by_ea(b, [&](auto ea) { b.op.handler = unary_mem<Unary, T, decltype(ea)>; });
        }
    });
}

}  // namespace mynah::interpreter
