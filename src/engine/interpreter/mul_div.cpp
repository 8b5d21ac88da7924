// MUL IMUL DIV IDIV MULX.

#include <limits>

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

template <bool kMem, typename T>
bool source(Core& core, const Op& op, T& value) {
    if constexpr (kMem) {
        return load_operand<EaAny>(core, op, value);
    } else {
        value = core.reg<T>(op.src);
        return true;
    }
}

// rDX:rAX = rAX * source; 8-bit: AX = AL * source.
template <bool kSigned, typename T, bool kMem>
Outcome multiply_wide(Core& core, const Op& op) {
    T b;
    if (!source<kMem>(core, op, b)) return Outcome::kFault;
    uint16_t flags;
    if constexpr (sizeof(T) == 1) {
        uint16_t ax = static_cast<uint8_t>(core.s.gpr[kRax]);
        uint32_t saved;
        if constexpr (kSigned) {
            asm("imulb %[b]\n\tmovzwl %%ax, %[out]\n\tlahf\n\tseto %%al"
                : "+&a"(ax), [out] "=&r"(saved)
                : [b] "r"(b)
                : "cc");
        } else {
            asm("mulb %[b]\n\tmovzwl %%ax, %[out]\n\tlahf\n\tseto %%al"
                : "+&a"(ax), [out] "=&r"(saved)
                : [b] "r"(b)
                : "cc");
        }
        flags = ax;
        core.set_reg<uint16_t>(kRax, static_cast<uint16_t>(saved));
    } else {
        T low = core.reg<T>(kRax), high, result;
        if constexpr (kSigned) {
            asm("imul %[b]\n\tmov %[low], %[out]\n\tlahf\n\tseto %%al"
                : [low] "+&a"(low), "=&d"(high), [out] "=&r"(result)
                : [b] "r"(b)
                : "cc");
        } else {
            asm("mul %[b]\n\tmov %[low], %[out]\n\tlahf\n\tseto %%al"
                : [low] "+&a"(low), "=&d"(high), [out] "=&r"(result)
                : [b] "r"(b)
                : "cc");
        }
        flags = static_cast<uint16_t>(low);
        core.set_reg<T>(kRax, result);
        core.set_reg<T>(kRdx, high);
    }
    core.s.flags.arithmetic = flags;
    return Outcome::kNext;
}

// dst = a * b, truncated. kImm: dst = source * imm; else dst = dst * source.
template <typename T, bool kMem, bool kImm>
Outcome multiply_truncated(Core& core, const Op& op) {
    T value;
    if (!source<kMem>(core, op, value)) return Outcome::kFault;
    const T other = kImm ? static_cast<T>(op.imm) : core.reg<T>(op.dst);
    uint16_t ax;
    asm("imul %[other], %[value]\n\tlahf\n\tseto %%al"
        : [value] "+&r"(value), "=&a"(ax)
        : [other] "r"(other)
        : "cc");
    core.s.flags.arithmetic = ax;
    core.set_reg<T>(op.dst, value);
    return Outcome::kNext;
}

template <bool kSigned>
bool build_multiply(Build& b) {
    const unsigned operands = b.instruction.visible_operands();
    if (operands == 1) {
        if (b.is_reg(0)) b.op.src = b.slot(0);
        return by_size(b.bits(0), [&](auto type) {
            using T = decltype(type);
            b.op.handler =
                b.is_mem(0) ? multiply_wide<kSigned, T, true> : multiply_wide<kSigned, T, false>;
        });
    }
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    if (operands == 3) b.op.imm = b.imm(2);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (operands == 3) {
            b.op.handler = b.is_mem(1) ? multiply_truncated<T, true, true>
                                       : multiply_truncated<T, false, true>;
        } else {
            b.op.handler = b.is_mem(1) ? multiply_truncated<T, true, false>
                                       : multiply_truncated<T, false, false>;
        }
    });
}

// Whether the quotient fits; if not, it is #DE [SDM 2A IDIV].
template <typename T>
bool signed_fits(__int128 dividend, T divisor) {
    using Signed = std::make_signed_t<T>;
    const auto by = static_cast<Signed>(divisor);
    if (by == 0) return false;
    if (by == -1) {
        // -dividend must fit; the smallest number of 128 bits has no negative.
        return dividend >= -static_cast<__int128>(std::numeric_limits<Signed>::max()) &&
               dividend <= -static_cast<__int128>(std::numeric_limits<Signed>::min());
    }
    const __int128 quotient = dividend / by;
    return quotient >= std::numeric_limits<Signed>::min() &&
           quotient <= std::numeric_limits<Signed>::max();
}

template <typename T, bool kSigned>
bool division_fits(T high, T low, T divisor) {
    constexpr unsigned kBits = sizeof(T) * 8;
    if constexpr (!kSigned) {
        // The quotient fits exactly if the upper half is below the divisor.
        return high < divisor;
    } else {
        using Signed = std::make_signed_t<T>;
        const __int128 dividend =
            static_cast<__int128>(static_cast<Signed>(high)) * (static_cast<__int128>(1) << kBits) +
            static_cast<__int128>(low);
        return signed_fits<T>(dividend, divisor);
    }
}

// The division itself, which cannot fault any more; undefined flags as the host leaves them.
template <typename T, bool kSigned>
uint16_t divide_host(T& high, T& low, T divisor) {
    T rest = high, quotient = low, out;
    if constexpr (kSigned) {
        asm("idiv %[by]\n\tmov %%rax, %q[out]\n\tlahf\n\tseto %%al"
            : "+&a"(quotient), "+&d"(rest), [out] "=&r"(out)
            : [by] "r"(divisor)
            : "cc");
    } else {
        asm("div %[by]\n\tmov %%rax, %q[out]\n\tlahf\n\tseto %%al"
            : "+&a"(quotient), "+&d"(rest), [out] "=&r"(out)
            : [by] "r"(divisor)
            : "cc");
    }
    const auto result_flags = static_cast<uint16_t>(quotient);
    high = rest;
    low = out;
    return result_flags;
}

template <typename T, bool kSigned, bool kMem>
Outcome divide(Core& core, const Op& op) {
    T divisor;
    if (!source<kMem>(core, op, divisor)) return Outcome::kFault;
    if constexpr (sizeof(T) == 1) {
        const auto dividend = static_cast<uint16_t>(core.s.gpr[kRax]);
        if (!division_fits<uint8_t, kSigned>(static_cast<uint8_t>(dividend >> 8),
                                             static_cast<uint8_t>(dividend), divisor)) {
            return core.raise(Exception::de());
        }
        uint16_t ax = dividend;
        uint32_t out;
        if constexpr (kSigned) {
            asm("idivb %[by]\n\tmovzwl %%ax, %[out]\n\tlahf\n\tseto %%al"
                : "+&a"(ax), [out] "=&r"(out)
                : [by] "r"(divisor)
                : "cc");
        } else {
            asm("divb %[by]\n\tmovzwl %%ax, %[out]\n\tlahf\n\tseto %%al"
                : "+&a"(ax), [out] "=&r"(out)
                : [by] "r"(divisor)
                : "cc");
        }
        core.s.flags.arithmetic = ax;
        core.set_reg<uint16_t>(kRax, static_cast<uint16_t>(out));
    } else {
        T high = core.reg<T>(kRdx), low = core.reg<T>(kRax);
        if (!division_fits<T, kSigned>(high, low, divisor)) return core.raise(Exception::de());
        core.s.flags.arithmetic = divide_host<T, kSigned>(high, low, divisor);
        core.set_reg<T>(kRax, low);
        core.set_reg<T>(kRdx, high);
    }
    return Outcome::kNext;
}

template <bool kSigned>
bool build_divide(Build& b) {
    if (b.is_reg(0)) b.op.src = b.slot(0);
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_mem(0) ? divide<T, kSigned, true> : divide<T, kSigned, false>;
    });
}

// MULX high, low, source: rDX * source, no flags. If both are one register it gets the high half.
template <typename T, bool kMem>
Outcome mulx(Core& core, const Op& op) {
    T b;
    if (!source<kMem>(core, op, b)) return Outcome::kFault;
    const unsigned __int128 product = static_cast<unsigned __int128>(core.reg<T>(kRdx)) * b;
    core.set_reg<T>(static_cast<unsigned>(op.imm), static_cast<T>(product));
    core.set_reg<T>(op.dst, static_cast<T>(product >> (sizeof(T) * 8)));
    return Outcome::kNext;
}

bool build_mulx(Build& b) {
    b.op.dst = b.slot(0);
    b.op.imm = b.slot(1);
    if (b.is_reg(2)) b.op.src = b.slot(2);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_mem(2) ? mulx<T, true> : mulx<T, false>;
    });
}

}  // namespace

void add_mul_div(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_MUL] = build_multiply<false>;
    table[ZYDIS_MNEMONIC_IMUL] = build_multiply<true>;
    table[ZYDIS_MNEMONIC_DIV] = build_divide<false>;
    table[ZYDIS_MNEMONIC_IDIV] = build_divide<true>;
    table[ZYDIS_MNEMONIC_MULX] = build_mulx;
}

}  // namespace mynah::interpreter
