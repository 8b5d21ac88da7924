// AND OR XOR TEST NOT, ANDN.

#include "engine/interpreter/alu_handlers.h"

namespace mynah::interpreter {
namespace {

template <typename T>
Outcome andn(Core& core, const Op& op) {
    T b;
    if (op.aux != 0) {
        if (!load_operand<EaAny>(core, op, b)) return Outcome::kFault;
    } else {
        b = core.reg<T>(static_cast<unsigned>(op.imm));
    }
    uint16_t ax;
    T result;
    asm("andn %[b], %[a], %[result]\n\tlahf\n\tseto %%al"
        : [result] "=&r"(result), "=&a"(ax)
        : [a] "r"(core.reg<T>(op.src)), [b] "r"(b)
        : "cc");
    // AF and PF are undefined: keep what this processor does, which is to leave them as they were
    // before the instruction; they were ours, not the guest's.
    constexpr uint16_t kKept = Flags::kAf | Flags::kPf;
    uint16_t& flags = core.s.flags.arithmetic;
    flags = static_cast<uint16_t>((ax & ~kKept) | (flags & kKept));
    core.set_reg<T>(op.dst, result);
    return Outcome::kNext;
}

bool build_andn(Build& b) {
    b.op.dst = b.slot(0);
    b.op.src = b.slot(1);
    b.op.aux = b.is_mem(2);
    if (b.is_reg(2)) b.op.imm = b.slot(2);
    return b.done(b.bits(0) == 64 ? andn<uint64_t> : andn<uint32_t>);
}

}  // namespace

void add_integer_logic(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_AND] = build_alu<And>;
    table[ZYDIS_MNEMONIC_OR] = build_alu<Or>;
    table[ZYDIS_MNEMONIC_XOR] = build_alu<Xor>;
    table[ZYDIS_MNEMONIC_TEST] = build_alu<Test>;
    table[ZYDIS_MNEMONIC_NOT] = build_unary<Not>;
    table[ZYDIS_MNEMONIC_ANDN] = build_andn;
}

}  // namespace mynah::interpreter
