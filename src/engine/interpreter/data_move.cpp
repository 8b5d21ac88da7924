// MOV (general registers and memory), MOVZX MOVSX MOVSXD MOVBE MOVNTI, LEA, CMOVcc, SETcc, XLAT,
// BSWAP, CBW and CWD families, NOP and its kin. XCHG is in atomic.cpp, MOV to segment, control and
// debug registers in system*.cpp.

#include "engine/interpreter/condition.h"
#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

template <typename T>
Outcome mov_reg_reg(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, core.reg<T>(op.src));
    return Outcome::kNext;
}
template <typename T>
Outcome mov_reg_imm(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, static_cast<T>(op.imm));
    return Outcome::kNext;
}
template <typename T, class Ea>
Outcome mov_reg_mem(Core& core, const Op& op) {
    T value;
    if (!load_operand<Ea>(core, op, value)) return Outcome::kFault;
    core.set_reg<T>(op.dst, value);
    return Outcome::kNext;
}
template <typename T, class Ea>
Outcome mov_mem_reg(Core& core, const Op& op) {
    return store_operand<Ea>(core, op, core.reg<T>(op.src)) ? Outcome::kNext : Outcome::kFault;
}
template <typename T, class Ea>
Outcome mov_mem_imm(Core& core, const Op& op) {
    return store_operand<Ea>(core, op, static_cast<T>(op.imm)) ? Outcome::kNext : Outcome::kFault;
}

// MOV between the accumulator and an absolute 64-bit offset, which no disp holds: it is in imm.
template <typename T, bool kStore>
Outcome mov_moffs(Core& core, const Op& op) {
    uint64_t linear;
    const AccessKind kind = kStore ? AccessKind::kWrite : AccessKind::kRead;
    if (!core.segment_linear(op.segment, op.imm, sizeof(T), kind, linear)) return Outcome::kFault;
    if constexpr (kStore) {
        return core.store<T>(linear, core.reg<T>(kRax)) ? Outcome::kNext : Outcome::kFault;
    } else {
        T value;
        if (!core.load(linear, value)) return Outcome::kFault;
        core.set_reg<T>(kRax, value);
        return Outcome::kNext;
    }
}

bool is_segment_control_or_debug(const Build& b, unsigned i) {
    if (!b.is_reg(i)) return false;
    switch (ZydisRegisterGetClass(b.operand(i).reg.value)) {
        case ZYDIS_REGCLASS_SEGMENT:
        case ZYDIS_REGCLASS_CONTROL:
        case ZYDIS_REGCLASS_DEBUG:
            return true;
        default:
            return false;
    }
}

bool build_mov(Build& b) {
    if (is_segment_control_or_debug(b, 0) || is_segment_control_or_debug(b, 1))
        return build_mov_system(b);
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    if (b.is_imm(1)) b.op.imm = b.imm(1);
    const uint8_t opcode = b.instruction.info.opcode;
    if (b.instruction.info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && opcode >= 0xa0 &&
        opcode <= 0xa3) {
        b.op.imm = static_cast<uint64_t>(b.operand(b.is_mem(0) ? 0 : 1).mem.disp.value);
        if (b.op.address_bits != 64) b.op.imm &= low_mask(b.op.address_bits);
        return by_size(b.bits(0), [&](auto type) {
            using T = decltype(type);
            b.op.handler = b.is_mem(0) ? mov_moffs<T, true> : mov_moffs<T, false>;
        });
    }
    return by_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        if (b.is_reg(0) && b.is_reg(1)) b.op.handler = mov_reg_reg<T>;
        if (b.is_reg(0) && b.is_imm(1)) b.op.handler = mov_reg_imm<T>;
        by_ea(b, [&](auto ea) {
            using Ea = decltype(ea);
            if (b.is_mem(1)) b.op.handler = mov_reg_mem<T, Ea>;
            if (b.is_mem(0)) b.op.handler = b.is_imm(1) ? mov_mem_imm<T, Ea> : mov_mem_reg<T, Ea>;
        });
    });
}

bool build_movnti(Build& b) {
    b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto type) {
        by_ea(b, [&](auto ea) { b.op.handler = mov_mem_reg<decltype(type), decltype(ea)>; });
    });
}

// --- extensions
// -----------------------------------------------------------------------------------

template <typename To, typename From, bool kSigned>
To extend(From value) {
    if constexpr (kSigned) {
        return static_cast<To>(
            static_cast<std::make_signed_t<To>>(static_cast<std::make_signed_t<From>>(value)));
    } else {
        return static_cast<To>(value);
    }
}
template <typename To, typename From, bool kSigned>
Outcome extend_reg(Core& core, const Op& op) {
    core.set_reg<To>(op.dst, extend<To, From, kSigned>(core.reg<From>(op.src)));
    return Outcome::kNext;
}
template <typename To, typename From, bool kSigned, class Ea>
Outcome extend_mem(Core& core, const Op& op) {
    From value;
    if (!load_operand<Ea>(core, op, value)) return Outcome::kFault;
    core.set_reg<To>(op.dst, extend<To, From, kSigned>(value));
    return Outcome::kNext;
}

template <bool kSigned>
bool build_extend(Build& b) {
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto to) {
        by_size(b.bits(1), [&](auto from) {
            using To = decltype(to);
            using From = decltype(from);
            if (b.is_reg(1)) {
                b.op.handler = extend_reg<To, From, kSigned>;
            } else {
                by_ea(b,
                      [&](auto ea) { b.op.handler = extend_mem<To, From, kSigned, decltype(ea)>; });
            }
        });
    });
}

// With a 16-bit destination MOVSXD reads, and moves, 16 bits.
bool build_movsxd(Build& b) {
    if (b.bits(0) != 16) return build_extend<true>(b);
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return b.done(b.is_reg(1) ? mov_reg_reg<uint16_t> : mov_reg_mem<uint16_t, EaAny>);
}

// CBW CWDE CDQE: the lower half of rAX extended into all of it.
template <typename To, typename From>
Outcome extend_accumulator(Core& core, const Op&) {
    core.set_reg<To>(kRax, extend<To, From, true>(static_cast<From>(core.s.gpr[kRax])));
    return Outcome::kNext;
}
// CWD CDQ CQO: the sign of rAX into rDX.
template <typename T>
Outcome sign_to_rdx(Core& core, const Op&) {
    const auto value = static_cast<std::make_signed_t<T>>(core.reg<T>(kRax));
    core.set_reg<T>(kRdx, static_cast<T>(value < 0 ? -1 : 0));
    return Outcome::kNext;
}

// --- the rest ------------------------------------------------------------------------------------

template <typename T>
Outcome lea(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, static_cast<T>(core.effective_address(op)));
    return Outcome::kNext;
}
bool build_lea(Build& b) {
    b.op.dst = b.slot(0);
    return by_wide_size(b.bits(0), [&](auto type) { b.op.handler = lea<decltype(type)>; });
}

// The source is read, and may fault, whatever the condition; a 32-bit destination is always
// zero-extended.
template <typename T, unsigned kCondition>
Outcome cmov_reg(Core& core, const Op& op) {
    const T value =
        holds<kCondition>(core.s.flags.arithmetic) ? core.reg<T>(op.src) : core.reg<T>(op.dst);
    core.set_reg<T>(op.dst, value);
    return Outcome::kNext;
}
template <typename T, unsigned kCondition>
Outcome cmov_mem(Core& core, const Op& op) {
    T value;
    if (!load_operand<EaAny>(core, op, value)) return Outcome::kFault;
    core.set_reg<T>(op.dst,
                    holds<kCondition>(core.s.flags.arithmetic) ? value : core.reg<T>(op.dst));
    return Outcome::kNext;
}
template <unsigned kCondition>
bool build_cmov(Build& b) {
    b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_reg(1) ? cmov_reg<T, kCondition> : cmov_mem<T, kCondition>;
    });
}

template <unsigned kCondition>
Outcome set_reg_if(Core& core, const Op& op) {
    core.set_reg<uint8_t>(op.dst, holds<kCondition>(core.s.flags.arithmetic));
    return Outcome::kNext;
}
template <unsigned kCondition>
Outcome set_mem_if(Core& core, const Op& op) {
    const uint8_t value = holds<kCondition>(core.s.flags.arithmetic);
    return store_operand<EaAny>(core, op, value) ? Outcome::kNext : Outcome::kFault;
}
template <unsigned kCondition>
bool build_setcc(Build& b) {
    if (b.is_mem(0)) return b.done(set_mem_if<kCondition>);
    b.op.dst = b.slot(0);
    return b.done(set_reg_if<kCondition>);
}

template <typename T>
T byte_swap(T value) {
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}
// BSWAP of a 16-bit register is undefined; processors clear it.
Outcome bswap16(Core& core, const Op& op) {
    core.set_reg<uint16_t>(op.dst, 0);
    return Outcome::kNext;
}
template <typename T>
Outcome bswap(Core& core, const Op& op) {
    core.set_reg<T>(op.dst, byte_swap(core.reg<T>(op.dst)));
    return Outcome::kNext;
}
bool build_bswap(Build& b) {
    b.op.dst = b.slot(0);
    return b.done(b.bits(0) == 64 ? bswap<uint64_t> : b.bits(0) == 32 ? bswap<uint32_t> : bswap16);
}

template <typename T>
Outcome movbe_load(Core& core, const Op& op) {
    T value;
    if (!load_operand<EaAny>(core, op, value)) return Outcome::kFault;
    core.set_reg<T>(op.dst, byte_swap(value));
    return Outcome::kNext;
}
template <typename T>
Outcome movbe_store(Core& core, const Op& op) {
    return store_operand<EaAny>(core, op, byte_swap(core.reg<T>(op.src))) ? Outcome::kNext
                                                                          : Outcome::kFault;
}
bool build_movbe(Build& b) {
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    if (b.is_reg(1)) b.op.src = b.slot(1);
    return by_wide_size(b.bits(0), [&](auto type) {
        using T = decltype(type);
        b.op.handler = b.is_reg(0) ? movbe_load<T> : movbe_store<T>;
    });
}

Outcome xlat(Core& core, const Op& op) {
    uint64_t offset = core.s.gpr[kRbx] + (core.s.gpr[kRax] & 0xff);
    if (op.address_bits != 64) offset &= low_mask(op.address_bits);
    uint64_t linear;
    uint8_t value;
    if (!core.segment_linear(op.segment, offset, 1, AccessKind::kRead, linear))
        return Outcome::kFault;
    if (!core.load(linear, value)) return Outcome::kFault;
    core.set_reg<uint8_t>(0, value);
    return Outcome::kNext;
}
bool build_xlat(Build& b) {
    b.op.address_bits = static_cast<uint8_t>(b.instruction.info.address_width);
    b.op.segment = hidden_memory_segment(b);
    return b.done(xlat);
}

Outcome nop(Core&, const Op&) { return Outcome::kNext; }

template <Handler kHandler>
bool build_plain(Build& b) {
    return b.done(kHandler);
}

template <unsigned kCondition>
void add_condition(BuilderTable& table, ZydisMnemonic cmov, ZydisMnemonic setcc) {
    table[cmov] = build_cmov<kCondition>;
    table[setcc] = build_setcc<kCondition>;
}

}  // namespace

x86::Segment hidden_memory_segment(const Build& b) {
    for (unsigned i = 0; i < b.instruction.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = b.operand(i);
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        switch (operand.mem.segment) {
            case ZYDIS_REGISTER_ES:
                continue;  // fixed destination of string instructions
            case ZYDIS_REGISTER_CS:
                return x86::Segment::kCs;
            case ZYDIS_REGISTER_SS:
                return x86::Segment::kSs;
            case ZYDIS_REGISTER_FS:
                return x86::Segment::kFs;
            case ZYDIS_REGISTER_GS:
                return x86::Segment::kGs;
            default:
                return x86::Segment::kDs;
        }
    }
    // Overridden to ES, or there is no source.
    return b.instruction.has_prefix(ZYDIS_ATTRIB_HAS_SEGMENT_ES) ? x86::Segment::kEs
                                                                 : x86::Segment::kDs;
}

void add_data_move(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_MOV] = build_mov;
    table[ZYDIS_MNEMONIC_MOVNTI] = build_movnti;
    table[ZYDIS_MNEMONIC_MOVZX] = build_extend<false>;
    table[ZYDIS_MNEMONIC_MOVSX] = build_extend<true>;
    table[ZYDIS_MNEMONIC_MOVSXD] = build_movsxd;
    table[ZYDIS_MNEMONIC_MOVBE] = build_movbe;
    table[ZYDIS_MNEMONIC_LEA] = build_lea;
    table[ZYDIS_MNEMONIC_BSWAP] = build_bswap;
    table[ZYDIS_MNEMONIC_XLAT] = build_xlat;
    table[ZYDIS_MNEMONIC_CBW] = build_plain<extend_accumulator<uint16_t, uint8_t>>;
    table[ZYDIS_MNEMONIC_CWDE] = build_plain<extend_accumulator<uint32_t, uint16_t>>;
    table[ZYDIS_MNEMONIC_CDQE] = build_plain<extend_accumulator<uint64_t, uint32_t>>;
    table[ZYDIS_MNEMONIC_CWD] = build_plain<sign_to_rdx<uint16_t>>;
    table[ZYDIS_MNEMONIC_CDQ] = build_plain<sign_to_rdx<uint32_t>>;
    table[ZYDIS_MNEMONIC_CQO] = build_plain<sign_to_rdx<uint64_t>>;
    table[ZYDIS_MNEMONIC_NOP] = build_plain<nop>;
    // Reserved NOPs that later processors give a meaning the guest's CPUID does not offer.
    table[ZYDIS_MNEMONIC_CLDEMOTE] = build_plain<nop>;
    table[ZYDIS_MNEMONIC_RDSSPD] = build_plain<nop>;
    table[ZYDIS_MNEMONIC_RDSSPQ] = build_plain<nop>;
    table[ZYDIS_MNEMONIC_ENDBR32] = build_plain<nop>;
    table[ZYDIS_MNEMONIC_ENDBR64] = build_plain<nop>;
    add_condition<0>(table, ZYDIS_MNEMONIC_CMOVO, ZYDIS_MNEMONIC_SETO);
    add_condition<1>(table, ZYDIS_MNEMONIC_CMOVNO, ZYDIS_MNEMONIC_SETNO);
    add_condition<2>(table, ZYDIS_MNEMONIC_CMOVB, ZYDIS_MNEMONIC_SETB);
    add_condition<3>(table, ZYDIS_MNEMONIC_CMOVNB, ZYDIS_MNEMONIC_SETNB);
    add_condition<4>(table, ZYDIS_MNEMONIC_CMOVZ, ZYDIS_MNEMONIC_SETZ);
    add_condition<5>(table, ZYDIS_MNEMONIC_CMOVNZ, ZYDIS_MNEMONIC_SETNZ);
    add_condition<6>(table, ZYDIS_MNEMONIC_CMOVBE, ZYDIS_MNEMONIC_SETBE);
    add_condition<7>(table, ZYDIS_MNEMONIC_CMOVNBE, ZYDIS_MNEMONIC_SETNBE);
    add_condition<8>(table, ZYDIS_MNEMONIC_CMOVS, ZYDIS_MNEMONIC_SETS);
    add_condition<9>(table, ZYDIS_MNEMONIC_CMOVNS, ZYDIS_MNEMONIC_SETNS);
    add_condition<10>(table, ZYDIS_MNEMONIC_CMOVP, ZYDIS_MNEMONIC_SETP);
    add_condition<11>(table, ZYDIS_MNEMONIC_CMOVNP, ZYDIS_MNEMONIC_SETNP);
    add_condition<12>(table, ZYDIS_MNEMONIC_CMOVL, ZYDIS_MNEMONIC_SETL);
    add_condition<13>(table, ZYDIS_MNEMONIC_CMOVNL, ZYDIS_MNEMONIC_SETNL);
    add_condition<14>(table, ZYDIS_MNEMONIC_CMOVLE, ZYDIS_MNEMONIC_SETLE);
    add_condition<15>(table, ZYDIS_MNEMONIC_CMOVNLE, ZYDIS_MNEMONIC_SETNLE);
}

}  // namespace mynah::interpreter
