// Control registers of the x87 and SSE units, and what sets whole register files.

#include "engine/interpreter/fpu_state.h"

#include <cstring>

#include "engine/interpreter/vector.h"

namespace mynah::interpreter {

namespace {

bool not_available(Core& core) {
    if ((core.s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) == 0) return false;
    core.raised(Exception::nm());
    return true;
}
bool not_available_or_pending(Core& core) {
    if (not_available(core)) return true;
    if ((core.s.x87.fsw & kX87ErrorSummary) == 0) return false;
    core.raised(Exception::mf());
    return true;
}

Outcome fninit(Core& core, const Op&) {
    if (not_available(core)) return Outcome::kFault;
    initialise_x87(core.s.x87);
    return Outcome::kNext;
}

Outcome fnclex(Core& core, const Op&) {
    if (not_available(core)) return Outcome::kFault;
    core.s.x87.fsw &= 0x7f00;  // also SF, ES and B [SDM 2A FCLEX]
    return Outcome::kNext;
}

Outcome fldcw(Core& core, const Op& op) {
    if (not_available_or_pending(core)) return Outcome::kFault;
    uint64_t linear = 0;
    uint16_t value = 0;
    if (!core.operand_linear(op, 2, AccessKind::kRead, linear) || !core.load(linear, value)) {
        return Outcome::kFault;
    }
    core.s.x87.fcw = static_cast<uint16_t>((value & 0x1f3f) | 0x40);
    update_error_summary(core.s.x87);
    return Outcome::kNext;
}

Outcome store_word(Core& core, const Op& op, uint16_t value) {
    uint64_t linear = 0;
    if (!core.operand_linear(op, 2, AccessKind::kWrite, linear) || !core.store(linear, value)) {
        return Outcome::kFault;
    }
    return Outcome::kNext;
}
Outcome fnstcw(Core& core, const Op& op) {
    if (not_available(core)) return Outcome::kFault;
    return store_word(core, op, core.s.x87.fcw);
}
Outcome fnstsw_memory(Core& core, const Op& op) {
    if (not_available(core)) return Outcome::kFault;
    return store_word(core, op, core.s.x87.fsw);
}
Outcome fnstsw_ax(Core& core, const Op&) {
    if (not_available(core)) return Outcome::kFault;
    core.set_reg<uint16_t>(kRax, core.s.x87.fsw);
    return Outcome::kNext;
}

Outcome fwait(Core& core, const Op&) {
    // TS counts only with MP, and EM not at all [SDM 3A 2.5 table 2-2].
    constexpr uint64_t kBoth = x86::cr0::kMp | x86::cr0::kTs;
    if ((core.s.cr0 & kBoth) == kBoth) return core.raise(Exception::nm());
    if ((core.s.x87.fsw & kX87ErrorSummary) != 0) return core.raise(Exception::mf());
    return Outcome::kNext;
}

// Instructions of the 8087 and 80287 that do nothing since [SDM 3B 23.18].
Outcome obsolete_nop(Core& core, const Op&) {
    return not_available(core) ? Outcome::kFault : Outcome::kNext;
}

Outcome emms(Core& core, const Op&) {
    if (!mmx_allowed(core)) return Outcome::kFault;
    begin_mmx(core.s.x87);
    core.s.x87.tags = 0;  // all empty
    return Outcome::kNext;
}

template <Gate gate>
Outcome ldmxcsr(Core& core, const Op& op) {
    if (!(gate == Gate::kVex ? vex_allowed(core) : sse_allowed(core))) return Outcome::kFault;
    uint64_t linear = 0;
    uint32_t value = 0;
    if (!core.operand_linear(op, 4, AccessKind::kRead, linear) || !core.load(linear, value)) {
        return Outcome::kFault;
    }
    if ((value & ~core.shared.cpuid.valid_mxcsr()) != 0) return core.raise(Exception::gp());
    core.s.mxcsr = value;
    return Outcome::kNext;
}

template <Gate gate>
Outcome stmxcsr(Core& core, const Op& op) {
    if (!(gate == Gate::kVex ? vex_allowed(core) : sse_allowed(core))) return Outcome::kFault;
    uint64_t linear = 0;
    if (!core.operand_linear(op, 4, AccessKind::kWrite, linear) ||
        !core.store(linear, core.s.mxcsr)) {
        return Outcome::kFault;
    }
    return Outcome::kNext;
}

// VZEROALL (from byte 0) and VZEROUPPER (from byte 16); outside 64-bit mode only YMM0 to YMM7.
template <unsigned from>
Outcome vzero(Core& core, const Op&) {
    if (!vex_allowed(core)) return Outcome::kFault;
    const unsigned count = core.mode.code_size == CodeSize::k64 ? 16 : 8;
    for (unsigned i = 0; i < count; ++i)
        std::memset(core.s.vector[i].bytes.data() + from, 0, 32 - from);
    return Outcome::kNext;
}

template <Handler handler>
bool build_as(Build& build) {
    build.op.handler = handler;
    return true;
}
template <Handler handler>
bool build_vex_as(Build& build) {
    build.op.handler = build.mode.protected_mode ? handler : raise_undefined;
    return true;
}
bool build_fnstsw(Build& build) {
    const bool memory = build.operand(0).type == ZYDIS_OPERAND_TYPE_MEMORY;
    build.op.handler = memory ? fnstsw_memory : fnstsw_ax;
    return true;
}

}  // namespace

void add_fpu_state(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_FNINIT] = build_as<fninit>;
    table[ZYDIS_MNEMONIC_FNCLEX] = build_as<fnclex>;
    table[ZYDIS_MNEMONIC_FLDCW] = build_as<fldcw>;
    table[ZYDIS_MNEMONIC_FNSTCW] = build_as<fnstcw>;
    table[ZYDIS_MNEMONIC_FNSTSW] = build_fnstsw;
    table[ZYDIS_MNEMONIC_FWAIT] = build_as<fwait>;
    table[ZYDIS_MNEMONIC_FDISI8087_NOP] = build_as<obsolete_nop>;
    table[ZYDIS_MNEMONIC_FENI8087_NOP] = build_as<obsolete_nop>;
    table[ZYDIS_MNEMONIC_FSETPM287_NOP] = build_as<obsolete_nop>;
    table[ZYDIS_MNEMONIC_EMMS] = build_as<emms>;
    table[ZYDIS_MNEMONIC_LDMXCSR] = build_as<ldmxcsr<Gate::kSse>>;
    table[ZYDIS_MNEMONIC_STMXCSR] = build_as<stmxcsr<Gate::kSse>>;
    table[ZYDIS_MNEMONIC_VLDMXCSR] = build_vex_as<ldmxcsr<Gate::kVex>>;
    table[ZYDIS_MNEMONIC_VSTMXCSR] = build_vex_as<stmxcsr<Gate::kVex>>;
    table[ZYDIS_MNEMONIC_VZEROALL] = build_vex_as<vzero<0>>;
    table[ZYDIS_MNEMONIC_VZEROUPPER] = build_vex_as<vzero<16>>;
    add_x87_environment(table);
    add_extended_state(table);
}

}  // namespace mynah::interpreter
