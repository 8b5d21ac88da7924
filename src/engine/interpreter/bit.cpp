// BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, BEXTR BLSI BLSMSK BLSR BZHI PDEP PEXT, CRC32.

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

// --- BT and its kin
// --------------------------------------------------------------------------------

#define MYNAH_LOAD_FLAGS "add $0x7f, %%al\n\tsahf\n\t"
#define MYNAH_STORE_FLAGS "\n\tlahf\n\tseto %%al"

#define MYNAH_BIT(NAME, MNEMONIC, WRITES)                                     \
    struct NAME {                                                             \
        static constexpr bool kWrites = WRITES;                               \
        template <typename T>                                                 \
        static T run(T a, T index, uint16_t& flags) {                         \
            uint32_t ax = flags;                                              \
            asm(MYNAH_LOAD_FLAGS MNEMONIC " %[index], %[a]" MYNAH_STORE_FLAGS \
                : [a] "+&r"(a), "+&a"(ax)                                     \
                : [index] "r"(index)                                          \
                : "cc");                                                      \
            flags = static_cast<uint16_t>(ax);                                \
            return a;                                                         \
        }                                                                     \
    }
MYNAH_BIT(Bt, "bt", false);
MYNAH_BIT(Bts, "bts", true);
MYNAH_BIT(Btr, "btr", true);
MYNAH_BIT(Btc, "btc", true);
#undef MYNAH_BIT

// Atomically replaces *p by the instruction's result.
template <class BitOp, typename T>
void run_locked(T* p, T index, uint16_t& flags) {
    const uint16_t before = flags;
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    for (;;) {
        flags = before;
        const T changed = BitOp::run(old, index, flags);
        if (__atomic_compare_exchange_n(p, &old, changed, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
            return;
    }
}

template <class BitOp, typename T, bool kImm>
Outcome bit_reg(Core& core, const Op& op) {
    const T index = kImm ? static_cast<T>(op.imm) : core.reg<T>(op.src);
    const T result = BitOp::run(core.reg<T>(op.dst), index, core.s.flags.arithmetic);
    if constexpr (BitOp::kWrites) core.set_reg<T>(op.dst, result);
    return Outcome::kNext;
}

// A register index addresses a bit string: the operand is the word that holds the bit. An
// immediate index stays within the operand.
template <class BitOp, typename T, bool kImm, bool kLocked>
Outcome bit_mem(Core& core, const Op& op) {
    using Signed = std::make_signed_t<T>;
    const T index = kImm ? static_cast<T>(op.imm) : core.reg<T>(op.src);
    uint64_t ea = core.effective_address(op);
    if constexpr (!kImm) {
        constexpr unsigned kShift = sizeof(T) == 8 ? 6 : sizeof(T) == 4 ? 5 : 4;
        ea += static_cast<uint64_t>(static_cast<int64_t>(static_cast<Signed>(index) >> kShift) *
                                    static_cast<int64_t>(sizeof(T)));
        if (op.address_bits != 64) ea &= low_mask(op.address_bits);
    }
    const T within = index & (sizeof(T) * 8 - 1);
    uint64_t linear;
    const AccessKind kind = BitOp::kWrites ? AccessKind::kWrite : AccessKind::kRead;
    if (!core.segment_linear(op.segment, ea, sizeof(T), kind, linear)) return Outcome::kFault;
    uint16_t& flags = core.s.flags.arithmetic;
    if constexpr (kLocked) {
        LockedOperand<T> operand(core, linear);
        if (operand.faulted()) return Outcome::kFault;
        run_locked<BitOp>(operand.get(), within, flags);
        return Outcome::kNext;
    } else {
        T value;
        if (BitOp::kWrites && !core.probe_store(linear, sizeof(T))) return Outcome::kFault;
        if (!core.load(linear, value)) return Outcome::kFault;
        value = BitOp::run(value, within, flags);
        if (BitOp::kWrites && !core.store(linear, value)) return Outcome::kFault;
        return Outcome::kNext;
    }
}

template <class BitOp>
bool build_bit(Build& b) {
    const bool imm = b.is_imm(1);
    if (imm) b.op.imm = b.imm(1);
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (b.is_reg(0)) {
            b.op.handler = imm ? bit_reg<BitOp, T, true> : bit_reg<BitOp, T, false>;
        } else if (b.locked()) {
            b.op.handler = imm ? bit_mem<BitOp, T, true, true> : bit_mem<BitOp, T, false, true>;
        } else {
            b.op.handler = imm ? bit_mem<BitOp, T, true, false> : bit_mem<BitOp, T, false, false>;
        }
    });
}

// --- one source, one destination
// ------------------------------------------------------------------

// BSF and BSR of zero leave the destination; the host gets the guest's to leave.
#define MYNAH_SCAN(NAME, MNEMONIC)                                        \
    struct NAME {                                                         \
        template <typename T>                                             \
        static T run(T destination, T source, uint16_t& flags) {          \
            uint32_t ax = flags;                                          \
            asm(MYNAH_LOAD_FLAGS MNEMONIC " %[s], %[d]" MYNAH_STORE_FLAGS \
                : [d] "+&r"(destination), "+&a"(ax)                       \
                : [s] "r"(source)                                         \
                : "cc");                                                  \
            flags = static_cast<uint16_t>(ax);                            \
            return destination;                                           \
        }                                                                 \
    }
MYNAH_SCAN(Bsf, "bsf");
MYNAH_SCAN(Bsr, "bsr");
MYNAH_SCAN(Tzcnt, "tzcnt");
MYNAH_SCAN(Lzcnt, "lzcnt");
MYNAH_SCAN(Popcnt, "popcnt");
MYNAH_SCAN(Blsi, "blsi");
MYNAH_SCAN(Blsr, "blsr");
MYNAH_SCAN(Blsmsk, "blsmsk");
#undef MYNAH_SCAN

template <class Scan, typename T, bool kMem>
Outcome scan(Core& core, const Op& op) {
    T source;
    if constexpr (kMem) {
        if (!load_operand<EaAny>(core, op, source)) return Outcome::kFault;
    } else {
        source = core.reg<T>(op.src);
    }
    if constexpr (sizeof(T) == 4) {
        // The 32-bit forms of BSF and BSR also leave the upper half alone if the source is zero.
        if ((std::is_same_v<Scan, Bsf> || std::is_same_v<Scan, Bsr>)&&source == 0) {
            Scan::run(T{0}, source, core.s.flags.arithmetic);
            return Outcome::kNext;
        }
    }
    core.set_reg<T>(op.dst, Scan::run(core.reg<T>(op.dst), source, core.s.flags.arithmetic));
    return Outcome::kNext;
}

template <class Scan>
bool build_scan(Build& b) {
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if constexpr (std::is_same_v<Scan, Blsi> || std::is_same_v<Scan, Blsr> ||
                      std::is_same_v<Scan, Blsmsk>) {
            if constexpr (sizeof(T) >= 4)
                b.op.handler = b.is_reg(1) ? scan<Scan, T, false> : scan<Scan, T, true>;
        } else {
            b.op.handler = b.is_reg(1) ? scan<Scan, T, false> : scan<Scan, T, true>;
        }
    });
}

// Processors without LZCNT and TZCNT ignore the prefix that makes them of BSR and BSF.
bool build_lzcnt(Build& b) {
    return b.shared.cpuid.has("lzcnt") ? build_scan<Lzcnt>(b) : build_scan<Bsr>(b);
}
bool build_tzcnt(Build& b) {
    return b.shared.cpuid.has("bmi1") ? build_scan<Tzcnt>(b) : build_scan<Bsf>(b);
}

// --- two sources
// ----------------------------------------------------------------------------------

#define MYNAH_THREE(NAME, MNEMONIC)                         \
    struct NAME {                                           \
        template <typename T>                               \
        static T run(T first, T second, uint16_t& flags) {  \
            uint32_t ax = flags;                            \
            T result;                                       \
            asm(MYNAH_LOAD_FLAGS MNEMONIC MYNAH_STORE_FLAGS \
                : [d] "=&r"(result), "+&a"(ax)              \
                : [f] "r"(first), [s] "r"(second)           \
                : "cc");                                    \
            flags = static_cast<uint16_t>(ax);              \
            return result;                                  \
        }                                                   \
    }
// `first` may be memory in the guest (BEXTR, BZHI), or `second` (PDEP, PEXT).
MYNAH_THREE(Bextr, "bextr %[s], %[f], %[d]");
MYNAH_THREE(Bzhi, "bzhi %[s], %[f], %[d]");
MYNAH_THREE(Pdep, "pdep %[s], %[f], %[d]");
MYNAH_THREE(Pext, "pext %[s], %[f], %[d]");
#undef MYNAH_THREE

// Memory is the first (kMemFirst) or the second source if op.aux is set; the register that is no
// memory form's is in imm.
template <class Three, typename T, bool kMemFirst>
Outcome three(Core& core, const Op& op) {
    T first = core.reg<T>(op.src), second = core.reg<T>(static_cast<unsigned>(op.imm));
    if (op.aux != 0 && !load_operand<EaAny>(core, op, kMemFirst ? first : second))
        return Outcome::kFault;
    core.set_reg<T>(op.dst, Three::run(first, second, core.s.flags.arithmetic));
    return Outcome::kNext;
}

template <class Three, bool kMemFirst>
bool build_three(Build& b) {
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    if (b.is_reg(2)) b.op.imm = b.slot(2);
    b.op.aux = b.is_mem(kMemFirst ? 1 : 2);
    return b.done(b.bits(0) == 64 ? three<Three, uint64_t, kMemFirst>
                                  : three<Three, uint32_t, kMemFirst>);
}

// --- CRC32
// ----------------------------------------------------------------------------------------

template <typename From>
Outcome crc32(Core& core, const Op& op) {
    From data;
    if (op.aux != 0) {
        if (!load_operand<EaAny>(core, op, data)) return Outcome::kFault;
    } else {
        data = core.reg<From>(op.src);
    }
    uint64_t crc = core.s.gpr[op.dst] & 0xffffffff;
    if constexpr (sizeof(From) == 8) {
        asm("crc32q %[data], %[crc]" : [crc] "+r"(crc) : [data] "r"(data));
    } else {
        auto narrow = static_cast<uint32_t>(crc);
        if constexpr (sizeof(From) == 1)
            asm("crc32b %[data], %[crc]" : [crc] "+r"(narrow) : [data] "r"(data));
        if constexpr (sizeof(From) == 2)
            asm("crc32w %[data], %[crc]" : [crc] "+r"(narrow) : [data] "r"(data));
        if constexpr (sizeof(From) == 4)
            asm("crc32l %[data], %[crc]" : [crc] "+r"(narrow) : [data] "r"(data));
        crc = narrow;
    }
    core.s.gpr[op.dst] = crc;
    return Outcome::kNext;
}

bool build_crc32(Build& b) {
    b.op.dst = b.slot(0);
    b.op.aux = b.is_mem(1);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_size(b.bits(1), [&](auto type) { b.op.handler = crc32<decltype(type)>; });
}

}  // namespace

void add_bit(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_BT] = build_bit<Bt>;
    table[ZYDIS_MNEMONIC_BTS] = build_bit<Bts>;
    table[ZYDIS_MNEMONIC_BTR] = build_bit<Btr>;
    table[ZYDIS_MNEMONIC_BTC] = build_bit<Btc>;
    table[ZYDIS_MNEMONIC_BSF] = build_scan<Bsf>;
    table[ZYDIS_MNEMONIC_BSR] = build_scan<Bsr>;
    table[ZYDIS_MNEMONIC_TZCNT] = build_tzcnt;
    table[ZYDIS_MNEMONIC_LZCNT] = build_lzcnt;
    table[ZYDIS_MNEMONIC_POPCNT] = build_scan<Popcnt>;
    table[ZYDIS_MNEMONIC_BLSI] = build_scan<Blsi>;
    table[ZYDIS_MNEMONIC_BLSR] = build_scan<Blsr>;
    table[ZYDIS_MNEMONIC_BLSMSK] = build_scan<Blsmsk>;
    table[ZYDIS_MNEMONIC_BEXTR] = build_three<Bextr, true>;
    table[ZYDIS_MNEMONIC_BZHI] = build_three<Bzhi, true>;
    table[ZYDIS_MNEMONIC_PDEP] = build_three<Pdep, false>;
    table[ZYDIS_MNEMONIC_PEXT] = build_three<Pext, false>;
    table[ZYDIS_MNEMONIC_CRC32] = build_crc32;
}

}  // namespace mynah::interpreter
