// SHL SHR SAR ROL ROR RCL RCR SHLD SHRD, and the flagless SHLX SHRX SARX RORX. The host's
// instruction runs with the guest's flags loaded, so that counts of zero keep them.

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

// OF from AL, the other flags from AH.
#define MYNAH_LOAD_FLAGS "add $0x7f, %%al\n\tsahf\n\t"
#define MYNAH_STORE_FLAGS "\n\tlahf\n\tseto %%al"

#define MYNAH_SHIFT(NAME, MNEMONIC)                                       \
    struct NAME {                                                         \
        template <typename T>                                             \
        static T run(T a, uint8_t count, uint16_t& flags) {               \
            uint32_t ax = flags;                                          \
            asm(MYNAH_LOAD_FLAGS MNEMONIC " %%cl, %[a]" MYNAH_STORE_FLAGS \
                : [a] "+&r"(a), "+&a"(ax)                                 \
                : "c"(count)                                              \
                : "cc");                                                  \
            flags = static_cast<uint16_t>(ax);                            \
            return a;                                                     \
        }                                                                 \
    }
MYNAH_SHIFT(Shl, "shl");
MYNAH_SHIFT(Shr, "shr");
MYNAH_SHIFT(Sar, "sar");
MYNAH_SHIFT(Rol, "rol");
MYNAH_SHIFT(Ror, "ror");
MYNAH_SHIFT(Rcl, "rcl");
MYNAH_SHIFT(Rcr, "rcr");

#define MYNAH_DOUBLE_SHIFT(NAME, MNEMONIC)                                      \
    struct NAME {                                                               \
        template <typename T>                                                   \
        static T run(T a, T b, uint8_t count, uint16_t& flags) {                \
            uint32_t ax = flags;                                                \
            asm(MYNAH_LOAD_FLAGS MNEMONIC " %%cl, %[b], %[a]" MYNAH_STORE_FLAGS \
                : [a] "+&r"(a), "+&a"(ax)                                       \
                : [b] "r"(b), "c"(count)                                        \
                : "cc");                                                        \
            flags = static_cast<uint16_t>(ax);                                  \
            return a;                                                           \
        }                                                                       \
    }
MYNAH_DOUBLE_SHIFT(Shld, "shld");
MYNAH_DOUBLE_SHIFT(Shrd, "shrd");

#undef MYNAH_SHIFT
#undef MYNAH_DOUBLE_SHIFT

// The count: op.imm, or CL.
template <bool kImm>
uint8_t count_of(Core& core, const Op& op) {
    return static_cast<uint8_t>(kImm ? op.imm : core.s.gpr[kRcx]);
}

template <class Shift, typename T, bool kImm>
Outcome shift_reg(Core& core, const Op& op) {
    core.set_reg<T>(
        op.dst, Shift::run(core.reg<T>(op.dst), count_of<kImm>(core, op), core.s.flags.arithmetic));
    return Outcome::kNext;
}
template <class Shift, typename T, class Ea, bool kImm>
Outcome shift_mem(Core& core, const Op& op) {
    const uint8_t count = count_of<kImm>(core, op);
    return modify_operand<Ea, T>(
        core, op, [&](T a) { return Shift::run(a, count, core.s.flags.arithmetic); });
}

template <class Shift>
bool build_shift(Build& b) {
    const bool imm = b.is_imm(1);
    if (imm) b.op.imm = b.imm(1);
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (b.is_reg(0)) {
            b.op.handler = imm ? shift_reg<Shift, T, true> : shift_reg<Shift, T, false>;
            return;
        }
        by_ea(b, [&](auto ea) {
            using Ea = decltype(ea);
            b.op.handler = imm ? shift_mem<Shift, T, Ea, true> : shift_mem<Shift, T, Ea, false>;
        });
    });
}

template <class Shift, typename T, bool kImm>
Outcome double_shift_reg(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, Shift::run(core.reg<T>(op.dst), core.reg<T>(op.src),
                                       count_of<kImm>(core, op), core.s.flags.arithmetic));
    return Outcome::kNext;
}
template <class Shift, typename T, bool kImm>
Outcome double_shift_mem(Core& core, const Op& op) {
    const uint8_t count = count_of<kImm>(core, op);
    const T b = core.reg<T>(op.src);
    return modify_operand<EaAny, T>(
        core, op, [&](T a) { return Shift::run(a, b, count, core.s.flags.arithmetic); });
}

template <class Shift>
bool build_double_shift(Build& b) {
    const bool imm = b.is_imm(2);
    if (imm) b.op.imm = b.imm(2);
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (b.is_reg(0)) {
            b.op.handler =
                imm ? double_shift_reg<Shift, T, true> : double_shift_reg<Shift, T, false>;
        } else {
            b.op.handler =
                imm ? double_shift_mem<Shift, T, true> : double_shift_mem<Shift, T, false>;
        }
    });
}

// --- BMI2
// -----------------------------------------------------------------------------------------

enum class Flagless { kShl, kShr, kSar, kRor };

template <Flagless kWhich, typename T>
T flagless(T value, unsigned count) {
    count &= sizeof(T) * 8 - 1;
    switch (kWhich) {
        case Flagless::kShl:
            return static_cast<T>(value << count);
        case Flagless::kShr:
            return static_cast<T>(value >> count);
        case Flagless::kSar:
            return static_cast<T>(static_cast<std::make_signed_t<T>>(value) >> count);
        case Flagless::kRor:
            return std::rotr(value, static_cast<int>(count));
    }
    return value;
}

// dst, src/mem, count in register imm (or, RORX, the count itself).
template <Flagless kWhich, typename T, bool kMem>
Outcome flagless_shift(Core& core, const Op& op) {
    T value;
    if constexpr (kMem) {
        if (!load_operand<EaAny>(core, op, value)) return Outcome::kFault;
    } else {
        value = core.reg<T>(op.src);
    }
    const auto count =
        static_cast<unsigned>(kWhich == Flagless::kRor ? op.imm : core.s.gpr[op.imm]);
    core.set_reg<T>(op.dst, flagless<kWhich>(value, count));
    return Outcome::kNext;
}

template <Flagless kWhich>
bool build_flagless(Build& b) {
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    b.op.imm = kWhich == Flagless::kRor ? b.imm(2) : b.slot(2);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler =
            b.is_reg(1) ? flagless_shift<kWhich, T, false> : flagless_shift<kWhich, T, true>;
    });
}

}  // namespace

void add_shift_rotate(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_SHL] = build_shift<Shl>;
    table[ZYDIS_MNEMONIC_SHR] = build_shift<Shr>;
    table[ZYDIS_MNEMONIC_SAR] = build_shift<Sar>;
    table[ZYDIS_MNEMONIC_ROL] = build_shift<Rol>;
    table[ZYDIS_MNEMONIC_ROR] = build_shift<Ror>;
    table[ZYDIS_MNEMONIC_RCL] = build_shift<Rcl>;
    table[ZYDIS_MNEMONIC_RCR] = build_shift<Rcr>;
    table[ZYDIS_MNEMONIC_SHLD] = build_double_shift<Shld>;
    table[ZYDIS_MNEMONIC_SHRD] = build_double_shift<Shrd>;
    table[ZYDIS_MNEMONIC_SHLX] = build_flagless<Flagless::kShl>;
    table[ZYDIS_MNEMONIC_SHRX] = build_flagless<Flagless::kShr>;
    table[ZYDIS_MNEMONIC_SARX] = build_flagless<Flagless::kSar>;
    table[ZYDIS_MNEMONIC_RORX] = build_flagless<Flagless::kRor>;
}

}  // namespace mynah::interpreter
