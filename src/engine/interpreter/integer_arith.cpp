// ADD ADC SUB SBB CMP INC DEC NEG, ADCX ADOX.

#include "engine/interpreter/alu_handlers.h"

namespace mynah::interpreter {
namespace {

// ADCX adds with CF, ADOX with OF, and each leaves all other flags alone [SDM 2A ADCX, ADOX].
template <typename T, uint16_t kFlag>
Outcome add_with_one_flag(Core& core, const Op& op) {
    T b;
    if (op.aux != 0) {
        if (!load_operand<EaAny>(core, op, b)) return Outcome::kFault;
    } else {
        b = core.reg<T>(op.src);
    }
    uint16_t& flags = core.s.flags.arithmetic;
    const T a = core.reg<T>(op.dst);
    T sum;
    const bool carry1 = __builtin_add_overflow(a, b, &sum);
    const bool carry2 = __builtin_add_overflow(sum, static_cast<T>((flags & kFlag) != 0), &sum);
    flags = static_cast<uint16_t>((flags & ~kFlag) | (carry1 || carry2 ? kFlag : 0));
    core.set_reg<T>(op.dst, sum);
    return Outcome::kNext;
}

template <uint16_t kFlag>
bool build_one_flag(Build& b) {
    b.op.dst = b.slot(0);
    b.op.aux = b.is_mem(1);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return b.done(b.bits(0) == 64 ? add_with_one_flag<uint64_t, kFlag>
                                  : add_with_one_flag<uint32_t, kFlag>);
}

}  // namespace

void add_integer_arith(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_ADD] = build_alu<Add>;
    table[ZYDIS_MNEMONIC_ADC] = build_alu<Adc>;
    table[ZYDIS_MNEMONIC_SUB] = build_alu<Sub>;
    table[ZYDIS_MNEMONIC_SBB] = build_alu<Sbb>;
    table[ZYDIS_MNEMONIC_CMP] = build_alu<Cmp>;
    table[ZYDIS_MNEMONIC_INC] = build_unary<Inc>;
    table[ZYDIS_MNEMONIC_DEC] = build_unary<Dec>;
    table[ZYDIS_MNEMONIC_NEG] = build_unary<Neg>;
    table[ZYDIS_MNEMONIC_ADCX] = build_one_flag<Flags::kCf>;
    table[ZYDIS_MNEMONIC_ADOX] = build_one_flag<Flags::kOf>;
}

}  // namespace mynah::interpreter
