// Near JMP, Jcc, CALL, RET, LOOP, JCXZ, and BOUND. Far forms are in far_transfer*.cpp.

#include "engine/interpreter/condition.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/stack.h"

namespace mynah::interpreter {
namespace {

// A branch target that is not canonical, or beyond the limit of CS, is #GP of the branch.
bool valid_target(const Core& core, uint64_t target) {
    return core.mode.code_size == CodeSize::k64 ? Core::canonical(target)
                                                : target <= core.s.cs().limit;
}

Outcome go(Core& core, uint64_t target) {
    if (!valid_target(core, target)) [[unlikely]]
        return core.raise(Exception::gp());
    return core.jump(target);
}

// Target of a relative branch; T is the operand size, which the instruction pointer is cut to.
template <typename T>
uint64_t relative_target(const Core& core, const Op& op) {
    return static_cast<T>(core.rip_after(op) + op.imm);
}

template <typename T>
Outcome jump_relative(Core& core, const Op& op) {
    return go(core, relative_target<T>(core, op));
}

template <typename T, unsigned kCondition>
Outcome jump_if(Core& core, const Op& op) {
    if (holds<kCondition>(core.s.flags.arithmetic)) return go(core, relative_target<T>(core, op));
    return core.jump(core.rip_after(op));
}

template <typename T>
bool call(Core& core, const Op& op, uint64_t target) {
    // The push comes before the target is looked at, but a bad target leaves the stack pointer.
    const uint64_t before = core.s.gpr[kRsp];
    if (!push(core, static_cast<T>(core.rip_after(op)))) return false;
    if (valid_target(core, target)) return true;
    core.s.gpr[kRsp] = before;
    return core.raised(Exception::gp());
}

template <typename T>
Outcome call_relative(Core& core, const Op& op) {
    const uint64_t target = relative_target<T>(core, op);
    return call<T>(core, op, target) ? core.jump(target) : Outcome::kFault;
}

template <typename T, bool kMem>
bool indirect_target(Core& core, const Op& op, T& target) {
    if constexpr (kMem) {
        uint64_t linear;
        return core.operand_linear(op, sizeof(T), AccessKind::kRead, linear) &&
               core.load(linear, target);
    } else {
        target = core.reg<T>(op.src);
        return true;
    }
}

template <typename T, bool kMem>
Outcome jump_indirect(Core& core, const Op& op) {
    T target;
    if (!indirect_target<T, kMem>(core, op, target)) return Outcome::kFault;
    return go(core, target);
}

template <typename T, bool kMem>
Outcome call_indirect(Core& core, const Op& op) {
    T target;
    if (!indirect_target<T, kMem>(core, op, target)) return Outcome::kFault;
    return call<T>(core, op, target) ? core.jump(target) : stack_fault(core);
}

// RET and RET imm16: op.imm more bytes are dropped.
template <typename T>
Outcome ret(Core& core, const Op& op) {
    T target;
    uint64_t sp;
    if (!peek(core, target, sp)) return Outcome::kFault;
    if (!valid_target(core, target)) return core.raise(Exception::gp());
    set_stack_pointer(core, wrap_stack(core, sp + op.imm));
    return core.jump(target);
}

enum class Loop { kPlain, kWhileZero, kWhileNotZero };

// The counter is rCX of the address size A.
template <typename T, typename A, Loop kKind>
Outcome loop(Core& core, const Op& op) {
    const A count = static_cast<A>(core.reg<A>(kRcx) - 1);
    bool taken = count != 0;
    if (kKind == Loop::kWhileZero) taken = taken && holds<4>(core.s.flags.arithmetic);
    if (kKind == Loop::kWhileNotZero) taken = taken && holds<5>(core.s.flags.arithmetic);
    const uint64_t target = taken ? relative_target<T>(core, op) : core.rip_after(op);
    if (!valid_target(core, target)) return core.raise(Exception::gp());
    core.set_reg<A>(kRcx, count);
    return core.jump(target);
}

template <typename T, typename A>
Outcome jump_if_rcx_zero(Core& core, const Op& op) {
    if (core.reg<A>(kRcx) == 0) return go(core, relative_target<T>(core, op));
    return core.jump(core.rip_after(op));
}

// BOUND: #BR if the signed register is below the first or above the second of two words.
template <typename T>
Outcome bound(Core& core, const Op& op) {
    constexpr Exception kOutOfBounds{.vector = x86::Vector::kBr};
    T lower, upper;
    uint64_t linear;
    if (!core.operand_linear(op, 2 * sizeof(T), AccessKind::kRead, linear)) return Outcome::kFault;
    using Signed = std::make_signed_t<T>;
    const auto value = static_cast<Signed>(core.reg<T>(op.src));
    if (!core.load(linear, lower)) return Outcome::kFault;
    if (value < static_cast<Signed>(lower)) return core.raise(kOutOfBounds);
    if (!core.load(linear + sizeof(T), upper)) return Outcome::kFault;
    if (value > static_cast<Signed>(upper)) return core.raise(kOutOfBounds);
    return Outcome::kNext;
}
bool build_bound(Build& b) {
    b.op.src = b.slot(0);
    return b.done(b.bits(0) == 32 ? bound<uint32_t> : bound<uint16_t>);
}

// Near branches in 64-bit mode have 64-bit operands whatever the prefixes (Intel) [SDM 1 6.3.7].
unsigned branch_bits(const Build& b) {
    return b.mode.code_size == CodeSize::k64 ? 64 : b.operand_bits();
}

bool is_far(const Build& b) { return b.instruction.info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR; }

bool build_jmp(Build& b) {
    if (is_far(b)) return build_far_jmp(b);
    b.ends_block = true;
    if (b.is_imm(0)) b.op.imm = b.imm(0);
    if (b.is_reg(0)) b.op.src = b.slot(0);
    return by_wide_size(branch_bits(b), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_imm(0)   ? jump_relative<T>
                       : b.is_reg(0) ? jump_indirect<T, false>
                                     : jump_indirect<T, true>;
    });
}

bool build_call(Build& b) {
    if (is_far(b)) return build_far_call(b);
    b.ends_block = true;
    if (b.is_imm(0)) b.op.imm = b.imm(0);
    if (b.is_reg(0)) b.op.src = b.slot(0);
    if (!b.is_mem(0)) b.op.segment = x86::Segment::kSs;
    return by_wide_size(branch_bits(b), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_imm(0)   ? call_relative<T>
                       : b.is_reg(0) ? call_indirect<T, false>
                                     : call_indirect<T, true>;
    });
}

bool build_ret(Build& b) {
    if (is_far(b)) return build_far_ret(b);
    b.ends_block = true;
    b.op.segment = x86::Segment::kSs;
    b.op.imm = b.instruction.visible_operands() > 0 ? b.imm(0) & 0xffff : 0;
    return by_wide_size(branch_bits(b), [&](auto type) { b.op.handler = ret<decltype(type)>; });
}

template <unsigned kCondition>
bool build_jcc(Build& b) {
    b.ends_block = true;
    b.op.imm = b.imm(0);
    return by_wide_size(branch_bits(b),
                        [&](auto type) { b.op.handler = jump_if<decltype(type), kCondition>; });
}

template <Loop kKind>
bool build_loop(Build& b) {
    b.ends_block = true;
    b.op.imm = b.imm(0);
    return by_wide_size(branch_bits(b), [&](auto type) {
        by_wide_size(b.instruction.info.address_width, [&](auto address) {
            b.op.handler = loop<decltype(type), decltype(address), kKind>;
        });
    });
}

template <typename A>
bool build_jrcxz(Build& b) {
    b.ends_block = true;
    b.op.imm = b.imm(0);
    return by_wide_size(branch_bits(b),
                        [&](auto type) { b.op.handler = jump_if_rcx_zero<decltype(type), A>; });
}

}  // namespace

void add_control_flow(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_JMP] = build_jmp;
    table[ZYDIS_MNEMONIC_CALL] = build_call;
    table[ZYDIS_MNEMONIC_RET] = build_ret;
    table[ZYDIS_MNEMONIC_BOUND] = build_bound;
    table[ZYDIS_MNEMONIC_LOOP] = build_loop<Loop::kPlain>;
    table[ZYDIS_MNEMONIC_LOOPE] = build_loop<Loop::kWhileZero>;
    table[ZYDIS_MNEMONIC_LOOPNE] = build_loop<Loop::kWhileNotZero>;
    table[ZYDIS_MNEMONIC_JCXZ] = build_jrcxz<uint16_t>;
    table[ZYDIS_MNEMONIC_JECXZ] = build_jrcxz<uint32_t>;
    table[ZYDIS_MNEMONIC_JRCXZ] = build_jrcxz<uint64_t>;
    table[ZYDIS_MNEMONIC_JO] = build_jcc<0>;
    table[ZYDIS_MNEMONIC_JNO] = build_jcc<1>;
    table[ZYDIS_MNEMONIC_JB] = build_jcc<2>;
    table[ZYDIS_MNEMONIC_JNB] = build_jcc<3>;
    table[ZYDIS_MNEMONIC_JZ] = build_jcc<4>;
    table[ZYDIS_MNEMONIC_JNZ] = build_jcc<5>;
    table[ZYDIS_MNEMONIC_JBE] = build_jcc<6>;
    table[ZYDIS_MNEMONIC_JNBE] = build_jcc<7>;
    table[ZYDIS_MNEMONIC_JS] = build_jcc<8>;
    table[ZYDIS_MNEMONIC_JNS] = build_jcc<9>;
    table[ZYDIS_MNEMONIC_JP] = build_jcc<10>;
    table[ZYDIS_MNEMONIC_JNP] = build_jcc<11>;
    table[ZYDIS_MNEMONIC_JL] = build_jcc<12>;
    table[ZYDIS_MNEMONIC_JNL] = build_jcc<13>;
    table[ZYDIS_MNEMONIC_JLE] = build_jcc<14>;
    table[ZYDIS_MNEMONIC_JNLE] = build_jcc<15>;
}

}  // namespace mynah::interpreter
