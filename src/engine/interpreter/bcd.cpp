// AAA AAS AAD AAM DAA DAS and SALC, which the host no longer has in 64-bit mode [SDM 2A].

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {
namespace {

uint8_t al(const Core& core) { return static_cast<uint8_t>(core.s.gpr[kRax]); }

// SF, ZF and PF of a byte, the others as given.
void set_flags(Core& core, uint8_t result, bool carry, bool adjust) {
    uint16_t flags = 0x0200;
    if ((result & 0x80) != 0) flags |= Flags::kSf;
    if (result == 0) flags |= Flags::kZf;
    if (__builtin_parity(result) == 0) flags |= Flags::kPf;
    if (carry) flags |= Flags::kCf;
    if (adjust) flags |= Flags::kAf;
    core.s.flags.arithmetic = flags;
}

bool adjust_flag(const Core& core) { return (core.s.flags.arithmetic & Flags::kAf) != 0; }

// DAA and DAS: kSign is +1 or -1.
template <int kSign>
Outcome decimal_adjust(Core& core, const Op&) {
    const uint8_t old = al(core);
    const bool old_carry = core.s.flags.carry();
    uint8_t value = old;
    bool carry = false, adjust = false;
    if ((old & 0xf) > 9 || adjust_flag(core)) {
        value = static_cast<uint8_t>(value + kSign * 6);
        carry = old_carry || (kSign > 0 ? old > 0xf9 : old < 6);
        adjust = true;
    }
    if (old > 0x99 || old_carry) {
        value = static_cast<uint8_t>(value + kSign * 0x60);
        carry = true;
    } else if (kSign > 0) {
        carry = false;
    }
    core.set_reg<uint8_t>(0, value);
    set_flags(core, value, carry, adjust);
    return Outcome::kNext;
}

// AAA and AAS.
template <int kSign>
Outcome ascii_adjust(Core& core, const Op&) {
    auto ax = static_cast<uint16_t>(core.s.gpr[kRax]);
    const bool adjust = (ax & 0xf) > 9 || adjust_flag(core);
    if (adjust) ax = static_cast<uint16_t>(ax + kSign * 0x106);
    ax &= 0xff0f;
    core.set_reg<uint16_t>(kRax, ax);
    set_flags(core, static_cast<uint8_t>(ax), adjust, adjust);
    return Outcome::kNext;
}

Outcome aam(Core& core, const Op& op) {
    const auto base = static_cast<uint8_t>(op.imm);
    if (base == 0) return core.raise(Exception::de());
    const uint8_t value = al(core);
    core.set_reg<uint16_t>(kRax, static_cast<uint16_t>((value / base) << 8 | value % base));
    set_flags(core, value % base, false, false);
    return Outcome::kNext;
}

Outcome aad(Core& core, const Op& op) {
    const auto ax = static_cast<uint16_t>(core.s.gpr[kRax]);
    const auto value = static_cast<uint8_t>((ax & 0xff) + (ax >> 8) * static_cast<uint8_t>(op.imm));
    core.set_reg<uint16_t>(kRax, value);
    set_flags(core, value, false, false);
    return Outcome::kNext;
}

Outcome salc(Core& core, const Op&) {
    core.set_reg<uint8_t>(0, core.s.flags.carry() ? 0xff : 0);
    return Outcome::kNext;
}

template <Handler kHandler>
bool build(Build& b) {
    if (b.instruction.visible_operands() > 0 && b.is_imm(0)) b.op.imm = b.imm(0);
    return b.done(kHandler);
}

}  // namespace

void add_bcd(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_DAA] = build<decimal_adjust<1>>;
    table[ZYDIS_MNEMONIC_DAS] = build<decimal_adjust<-1>>;
    table[ZYDIS_MNEMONIC_AAA] = build<ascii_adjust<1>>;
    table[ZYDIS_MNEMONIC_AAS] = build<ascii_adjust<-1>>;
    table[ZYDIS_MNEMONIC_AAM] = build<aam>;
    table[ZYDIS_MNEMONIC_AAD] = build<aad>;
    table[ZYDIS_MNEMONIC_SALC] = build<salc>;
}

}  // namespace mynah::interpreter
