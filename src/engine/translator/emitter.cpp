#include "engine/translator/emitter.h"

namespace mynah::translator {
namespace {

bool fits8(int64_t value) { return value == static_cast<int8_t>(value); }

}  // namespace

void Emitter::modrm_mem(unsigned reg, const HostMem& mem) {
    const unsigned field = (reg & 7) << 3;
    const unsigned index = mem.index == kNoHostReg ? 4 : mem.index & 7u;
    if (mem.base == kNoHostReg) {  // disp32, by way of a SIB byte without base
        byte(field | 4);
        byte(unsigned{mem.scale_shift} << 6 | index << 3 | 5);
        dword(static_cast<uint32_t>(mem.disp));
        return;
    }
    const unsigned base = mem.base & 7u;
    const bool sib = mem.index != kNoHostReg || base == 4;
    const unsigned mod = mem.disp == 0 && base != 5 ? 0 : fits8(mem.disp) ? 1 : 2;
    byte(mod << 6 | field | (sib ? 4 : base));
    if (sib) byte(unsigned{mem.scale_shift} << 6 | index << 3 | base);
    if (mod == 1) byte(static_cast<uint8_t>(mem.disp));
    if (mod == 2) dword(static_cast<uint32_t>(mem.disp));
}

void Emitter::mov_imm(HostReg to, uint64_t value) {
    if (value <= 0xffffffff) {
        rex(false, 0, 0, to);
        byte(0xb8u | (to & 7u));
        dword(static_cast<uint32_t>(value));
    } else if (static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value))) == value) {
        rex(true, 0, 0, to);
        byte(0xc7);
        modrm_reg(0, to);
        dword(static_cast<uint32_t>(value));
    } else {
        rex(true, 0, 0, to);
        byte(0xb8u | (to & 7u));
        qword(value);
    }
}

void Emitter::alu_imm(Alu op, HostReg to, int32_t value, bool w) {
    rex(w, 0, 0, to);
    byte(fits8(value) ? 0x83 : 0x81);
    modrm_reg(static_cast<unsigned>(op), to);
    if (fits8(value)) {
        byte(static_cast<uint8_t>(value));
    } else {
        dword(static_cast<uint32_t>(value));
    }
}

void Emitter::alu_mem_imm(Alu op, const HostMem& to, int32_t value, bool w) {
    rex_mem(w, 0, to);
    byte(fits8(value) ? 0x83 : 0x81);
    modrm_mem(static_cast<unsigned>(op), to);
    if (fits8(value)) {
        byte(static_cast<uint8_t>(value));
    } else {
        dword(static_cast<uint32_t>(value));
    }
}

void Emitter::bind(Label& label) {
    label.at = offset();
    for (unsigned i = 0; i < label.uses; ++i) {
        patch_dword(label.use[i], label.at - (label.use[i] + 4));
    }
    label.uses = 0;
}

void Emitter::use(Label& label) {
    if (label.at != ~0u) {
        dword(label.at - (offset() + 4));
        return;
    }
    CHECK(label.uses < Label::kMaxUses);
    label.use[label.uses++] = offset();
    dword(0);
}

}  // namespace mynah::translator
