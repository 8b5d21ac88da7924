// LAR LSL VERR VERW ARPL: what a selector would allow, told by ZF [SDM 2A, 2B].

#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"

namespace mynah::interpreter {

namespace type = x86::system_type;

namespace {

void set_zf(Core& core, bool set) {
    uint16_t& flags = core.s.flags.arithmetic;
    flags = static_cast<uint16_t>(set ? flags | Flags::kZf : flags & ~Flags::kZf);
}

// How a selector looks from the current privilege level. kFault: a page fault.
enum class Visible { kNo, kYes, kFault };

// Reads the descriptor and checks CPL and RPL against DPL, which conforming code is exempt from.
Visible look_up(Core& core, uint16_t selector, Descriptor& descriptor) {
    if (is_null(selector)) return Visible::kNo;
    // Beyond the limit is no fault here: it is told from a page fault by the vector.
    const Exception outside = Exception::gp(code_of(selector));
    if (!read_descriptor(core, selector, outside, descriptor)) {
        return core.fault.vector == x86::Vector::kPf ? Visible::kFault : Visible::kNo;
    }
    if (descriptor.code() && descriptor.conforming()) return Visible::kYes;
    const unsigned rpl = selector & x86::selector::kRpl;
    return core.s.cpl() <= descriptor.dpl() && rpl <= descriptor.dpl() ? Visible::kYes
                                                                       : Visible::kNo;
}

// System types that LAR and LSL accept [SDM 2A LAR table 3-53, LSL table 3-56].
bool lar_accepts(const Core& core, uint8_t system_type) {
    switch (system_type) {
        case type::kLdt:
        case type::kTss32Available:
        case type::kTss32Busy:
        case type::kCallGate32:
            return true;
        case type::kTss16Available:
        case type::kTss16Busy:
        case type::kCallGate16:
        case type::kTaskGate:
            return !core.s.long_mode();
        default:
            return false;
    }
}
bool lsl_accepts(const Core& core, uint8_t system_type) {
    const bool gate = system_type == type::kCallGate32 || system_type == type::kCallGate16 ||
                      system_type == type::kTaskGate;
    return !gate && lar_accepts(core, system_type);
}

template <typename T>
Outcome lar(Core& core, const Op& op, uint16_t selector) {
    Descriptor descriptor;
    const Visible visible = look_up(core, selector, descriptor);
    if (visible == Visible::kFault) return Outcome::kFault;
    const bool ok = visible == Visible::kYes &&
                    (descriptor.code_or_data() || lar_accepts(core, descriptor.type()));
    // Bits 19:16 are undefined; processors leave the limit's there.
    if (ok) core.set_reg<T>(op.dst, static_cast<T>(descriptor.low >> 32 & 0x00ffff00));
    set_zf(core, ok);
    return Outcome::kNext;
}
template <typename T>
Outcome lsl(Core& core, const Op& op, uint16_t selector) {
    Descriptor descriptor;
    const Visible visible = look_up(core, selector, descriptor);
    if (visible == Visible::kFault) return Outcome::kFault;
    const bool ok = visible == Visible::kYes &&
                    (descriptor.code_or_data() || lsl_accepts(core, descriptor.type()));
    if (ok) core.set_reg<T>(op.dst, static_cast<T>(descriptor.limit()));
    set_zf(core, ok);
    return Outcome::kNext;
}
template <AccessKind kKind>
Outcome verify(Core& core, const Op&, uint16_t selector) {
    Descriptor descriptor;
    const Visible visible = look_up(core, selector, descriptor);
    if (visible == Visible::kFault) return Outcome::kFault;
    set_zf(core,
           visible == Visible::kYes && descriptor.code_or_data() &&
               (kKind == AccessKind::kWrite ? descriptor.writable_data() : descriptor.readable()));
    return Outcome::kNext;
}

using Query = Outcome (*)(Core&, const Op&, uint16_t selector);

template <Query kQuery>
Outcome query_reg(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    return kQuery(core, op, core.reg<uint16_t>(op.src));
}
template <Query kQuery>
Outcome query_mem(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    uint16_t selector;
    return load_operand<EaAny>(core, op, selector) ? kQuery(core, op, selector) : Outcome::kFault;
}
template <Query kQuery>
bool build_query(Build& b, unsigned selector_operand) {
    if (b.is_reg(selector_operand)) b.op.src = b.slot(selector_operand);
    return b.done(b.is_reg(selector_operand) ? query_reg<kQuery> : query_mem<kQuery>);
}

bool build_lar(Build& b) {
    b.op.dst = b.slot(0);
    switch (b.bits(0)) {
        case 16:
            return build_query<lar<uint16_t>>(b, 1);
        case 32:
            return build_query<lar<uint32_t>>(b, 1);
        default:
            return build_query<lar<uint64_t>>(b, 1);
    }
}
bool build_lsl(Build& b) {
    b.op.dst = b.slot(0);
    switch (b.bits(0)) {
        case 16:
            return build_query<lsl<uint16_t>>(b, 1);
        case 32:
            return build_query<lsl<uint32_t>>(b, 1);
        default:
            return build_query<lsl<uint64_t>>(b, 1);
    }
}
template <AccessKind kKind>
bool build_verify(Build& b) {
    return build_query<verify<kKind>>(b, 0);
}

// ARPL: raises the RPL of a selector to that of another.
uint16_t adjusted(Core& core, uint16_t selector, uint16_t reference) {
    const unsigned wanted = reference & x86::selector::kRpl;
    const bool below = (selector & x86::selector::kRpl) < wanted;
    set_zf(core, below);
    return below ? static_cast<uint16_t>((selector & ~x86::selector::kRpl) | wanted) : selector;
}
Outcome arpl_reg(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    core.set_reg<uint16_t>(op.dst,
                           adjusted(core, core.reg<uint16_t>(op.dst), core.reg<uint16_t>(op.src)));
    return Outcome::kNext;
}
Outcome arpl_mem(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    // Read first; written only if it changes.
    uint16_t selector;
    if (!load_operand<EaAny>(core, op, selector)) return Outcome::kFault;
    const uint16_t flags = core.s.flags.arithmetic;
    const uint16_t result = adjusted(core, selector, core.reg<uint16_t>(op.src));
    if (result == selector || store_operand<EaAny>(core, op, result)) return Outcome::kNext;
    core.s.flags.arithmetic = flags;
    return Outcome::kFault;
}
bool build_arpl(Build& b) {
    if (b.is_reg(0)) b.op.dst = b.slot(0);
    b.op.src = b.slot(1);
    return b.done(b.is_reg(0) ? arpl_reg : arpl_mem);
}

}  // namespace

void add_segment_query(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_LAR] = build_lar;
    table[ZYDIS_MNEMONIC_LSL] = build_lsl;
    table[ZYDIS_MNEMONIC_VERR] = build_verify<AccessKind::kRead>;
    table[ZYDIS_MNEMONIC_VERW] = build_verify<AccessKind::kWrite>;
    table[ZYDIS_MNEMONIC_ARPL] = build_arpl;
}

}  // namespace mynah::interpreter
