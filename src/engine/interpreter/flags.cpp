// CLC STC CMC CLD STD CLI STI LAHF SAHF PUSHF POPF CLAC STAC.

#include "engine/interpreter/operand.h"
#include "engine/interpreter/stack.h"

namespace mynah::interpreter {
namespace {

namespace rflags = x86::rflags;

Outcome clc(Core& core, const Op&) {
    core.s.flags.arithmetic &= static_cast<uint16_t>(~Flags::kCf);
    return Outcome::kNext;
}
Outcome stc(Core& core, const Op&) {
    core.s.flags.arithmetic |= Flags::kCf;
    return Outcome::kNext;
}
Outcome cmc(Core& core, const Op&) {
    core.s.flags.arithmetic ^= Flags::kCf;
    return Outcome::kNext;
}
Outcome cld(Core& core, const Op&) {
    core.s.flags.system &= ~rflags::kDf;
    return Outcome::kNext;
}
Outcome std_(Core& core, const Op&) {
    core.s.flags.system |= rflags::kDf;
    return Outcome::kNext;
}
Outcome lahf(Core& core, const Op&) {
    core.set_reg<uint8_t>(1, static_cast<uint8_t>(core.s.flags.value()));
    return Outcome::kNext;
}
Outcome sahf(Core& core, const Op&) {
    const uint8_t ah = core.reg<uint8_t>(1);
    uint16_t& flags = core.s.flags.arithmetic;
    flags = static_cast<uint16_t>(((ah & 0xd5) | 2) << 8 | (flags & 0xff));
    return Outcome::kNext;
}

// Whether CLI and STI act on VIF: CR4.PVI in protected mode at CPL 3, CR4.VME in virtual-8086 mode,
// each with an IOPL that denies IF itself [SDM 2A CLI, table 3-7].
bool virtual_interrupt_flag(const CpuState& s) {
    if (s.virtual_8086()) return (s.cr4 & x86::cr4::kVme) != 0 && s.iopl() < 3;
    return s.cpl() == 3 && (s.cr4 & x86::cr4::kPvi) != 0 && s.iopl() < 3;
}
bool may_change_if(const CpuState& s) { return !s.protected_mode() || s.iopl() >= s.cpl(); }

Outcome cli(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (may_change_if(s)) {
        s.flags.system &= ~rflags::kIf;
        core.mask_interrupts();
        return Outcome::kNext;
    }
    if (!virtual_interrupt_flag(s)) return core.raise(Exception::gp());
    s.flags.system &= ~rflags::kVif;
    return core.leave_after(op);
}

Outcome sti(Core& core, const Op& op) {
    CpuState& s = core.s;
    if (may_change_if(s)) {
        if (!s.flags.has(rflags::kIf)) s.interrupt_shadow = true;
        s.flags.system |= rflags::kIf;
        return core.leave_after(op);
    }
    if (!virtual_interrupt_flag(s) || s.flags.has(rflags::kVip)) return core.raise(Exception::gp());
    s.flags.system |= rflags::kVif;
    return core.leave_after(op);
}

template <bool kSet>
Outcome change_ac(Core& core, const Op& op) {
    if (!core.mode.protected_mode || core.s.cpl() != 0) return core.raise(Exception::ud());
    if (kSet) {
        core.s.flags.system |= rflags::kAc;
    } else {
        core.s.flags.system &= ~rflags::kAc;
    }
    return core.leave_after(op);
}

// Virtual-8086 mode with IOPL below 3: #GP, but with CR4.VME the 16-bit forms show VIF as IF.
bool vme_16(const CpuState& s, unsigned size) { return (s.cr4 & x86::cr4::kVme) != 0 && size == 2; }

template <typename T>
Outcome pushf(Core& core, const Op&) {
    const CpuState& s = core.s;
    uint64_t value = s.flags.value() & ~(rflags::kRf | rflags::kVm);
    if (s.virtual_8086() && s.iopl() < 3) {
        if (!vme_16(s, sizeof(T))) return core.raise(Exception::gp());
        value =
            (value & ~rflags::kIf) | rflags::kIopl | (s.flags.has(rflags::kVif) ? rflags::kIf : 0);
    }
    return push(core, static_cast<T>(value)) ? Outcome::kNext : Outcome::kFault;
}

// Which flags POPF may change [SDM 2B POPF, table 4-16].
uint64_t popf_mask(const CpuState& s) {
    uint64_t mask =
        rflags::kArithmetic | rflags::kTf | rflags::kDf | rflags::kNt | rflags::kAc | rflags::kId;
    if (!s.protected_mode() || (s.cpl() == 0 && !s.virtual_8086()))
        return mask | rflags::kIopl | rflags::kIf;
    if (s.cpl() <= s.iopl()) mask |= rflags::kIf;
    return mask;
}

template <typename T>
Outcome popf(Core& core, const Op& op) {
    CpuState& s = core.s;
    const bool vme = s.virtual_8086() && s.iopl() < 3;
    if (vme && !vme_16(s, sizeof(T))) return core.raise(Exception::gp());
    T image;
    uint64_t sp;
    if (!peek(core, image, sp)) return Outcome::kFault;
    const uint64_t before = s.flags.value();
    uint64_t mask = popf_mask(s);
    if constexpr (sizeof(T) == 2) mask &= 0xffff;
    uint64_t value = (before & ~mask) | (image & mask);
    if (vme) {
        if ((image & rflags::kTf) != 0 ||
            ((image & rflags::kIf) != 0 && s.flags.has(rflags::kVip))) {
            return core.raise(Exception::gp());
        }
        value = (value & ~(rflags::kVif | rflags::kIf | rflags::kIopl)) |
                (before & (rflags::kIf | rflags::kIopl)) |
                ((image & rflags::kIf) != 0 ? rflags::kVif : 0);
    }
    value &= ~rflags::kRf;
    set_stack_pointer(core, sp);
    s.flags.set(value);
    // Mostly POPF just restores what was there.
    constexpr uint64_t kWatched =
        rflags::kIf | rflags::kTf | rflags::kAc | rflags::kRf | rflags::kVif;
    if (((before ^ value) & kWatched) == 0 && !core.signalled()) return Outcome::kNext;
    return core.leave_after(op);
}

template <Handler kHandler, bool kEndsBlock = false>
bool build(Build& b) {
    b.ends_block = kEndsBlock;
    return b.done(kHandler);
}

bool build_pushf(Build& b) {
    b.op.segment = x86::Segment::kSs;
    return by_wide_size(b.operand_bits(), [&](auto type) { b.op.handler = pushf<decltype(type)>; });
}
bool build_popf(Build& b) {
    b.op.segment = x86::Segment::kSs;
    return by_wide_size(b.operand_bits(), [&](auto type) { b.op.handler = popf<decltype(type)>; });
}

}  // namespace

void add_flags(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_CLC] = build<clc>;
    table[ZYDIS_MNEMONIC_STC] = build<stc>;
    table[ZYDIS_MNEMONIC_CMC] = build<cmc>;
    table[ZYDIS_MNEMONIC_CLD] = build<cld>;
    table[ZYDIS_MNEMONIC_STD] = build<std_>;
    table[ZYDIS_MNEMONIC_LAHF] = build<lahf>;
    table[ZYDIS_MNEMONIC_SAHF] = build<sahf>;
    table[ZYDIS_MNEMONIC_CLI] = build<cli>;
    table[ZYDIS_MNEMONIC_STI] = build<sti, true>;
    table[ZYDIS_MNEMONIC_CLAC] = build<change_ac<false>, true>;
    table[ZYDIS_MNEMONIC_STAC] = build<change_ac<true>, true>;
    table[ZYDIS_MNEMONIC_PUSHF] = table[ZYDIS_MNEMONIC_PUSHFD] = table[ZYDIS_MNEMONIC_PUSHFQ] =
        build_pushf;
    table[ZYDIS_MNEMONIC_POPF] = table[ZYDIS_MNEMONIC_POPFD] = table[ZYDIS_MNEMONIC_POPFQ] =
        build_popf;
}

}  // namespace mynah::interpreter
