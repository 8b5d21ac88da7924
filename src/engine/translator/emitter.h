#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace mynah::translator {

// Host general registers by their numbers in encodings.
enum HostReg : uint8_t {
    kHostRax,
    kHostRcx,
    kHostRdx,
    kHostRbx,
    kHostRsp,
    kHostRbp,
    kHostRsi,
    kHostRdi,
    kHostR8,
    kHostR9,
    kHostR10,
    kHostR11,
    kHostR12,
    kHostR13,
    kHostR14,
    kHostR15,
    kNoHostReg = 0xff
};

// [base + index * scale + disp]. Without a base, disp is an absolute address.
struct HostMem {
    HostReg base = kNoHostReg;
    HostReg index = kNoHostReg;
    uint8_t scale_shift = 0;
    int32_t disp = 0;
};

// The eight operations that share an encoding pattern, by their number in it [SDM 2D A.2].
enum class Alu : uint8_t { kAdd, kOr, kAdc, kSbb, kAnd, kSub, kXor, kCmp };

// Condition codes of Jcc and its kin.
enum class Condition : uint8_t {
    kO, kNo, kB, kNb, kZ, kNz, kBe, kNbe, kS, kNs, kP, kNp, kL, kNl, kLe, kNle
};

// A place in emitted code that jumps refer to, maybe before it is known.
struct Label {
    static constexpr unsigned kMaxUses = 6;
    uint32_t at = ~0u;
    uint8_t uses = 0;
    uint32_t use[kMaxUses] = {};  // where 32-bit displacements wait for it
};

// Writes host instructions, one after the other, into memory that is executed at another address.
// Only what the translator's own glue needs; guest instructions are re-encoded in reencode.cpp.
class Emitter {
  public:
    // `execute` is where the first byte will run. Whoever makes one leaves kSlack bytes behind
    // what full() guards.
    Emitter(std::byte* write, const std::byte* execute, size_t size)
        : begin_(write), at_(write), end_(write + size), execute_(execute) {}

    static constexpr size_t kSlack = 256;
    bool full() const { return static_cast<size_t>(end_ - at_) < kSlack; }
    uint32_t offset() const { return static_cast<uint32_t>(at_ - begin_); }
    const std::byte* execute_at(uint32_t offset) const { return execute_ + offset; }
    const std::byte* here() const { return execute_ + offset(); }

    void byte(unsigned value) {
        if (at_ < end_) *at_++ = static_cast<std::byte>(value);
    }
    void word(uint16_t value) { raw(&value, 2); }
    void dword(uint32_t value) { raw(&value, 4); }
    void qword(uint64_t value) { raw(&value, 8); }
    void raw(const void* bytes, size_t size) {
        if (static_cast<size_t>(end_ - at_) < size) {
            at_ = end_;
            return;
        }
        std::memcpy(at_, bytes, size);
        at_ += size;
    }

    // --- pieces of encodings ---
    void rex(bool w, unsigned reg, unsigned index, unsigned base, bool force = false) {
        const unsigned value = 0x40u | unsigned{w} << 3 | (reg >> 3 & 1u) << 2 |
                               (index >> 3 & 1u) << 1 | (base >> 3 & 1u);
        if (value != 0x40 || force) byte(value);
    }
    void rex_mem(bool w, unsigned reg, const HostMem& mem, bool force = false) {
        rex(w, reg, mem.index == kNoHostReg ? 0 : mem.index, mem.base == kNoHostReg ? 0 : mem.base,
            force);
    }
    void modrm_reg(unsigned reg, unsigned rm) { byte(0xc0u | (reg & 7) << 3 | (rm & 7)); }
    void modrm_mem(unsigned reg, const HostMem& mem);

    // --- instructions; `w`: 64 bits, else 32 ---
    void mov(HostReg to, HostReg from, bool w = true) {
        rex(w, from, 0, to);
        byte(0x89);
        modrm_reg(from, to);
    }
    void load(HostReg to, const HostMem& from, bool w = true) { op_mem(0x8b, to, from, w); }
    void store(const HostMem& to, HostReg from, bool w = true) { op_mem(0x89, from, to, w); }
    void store16(const HostMem& to, HostReg from) {
        byte(0x66);
        op_mem(0x89, from, to, false);
    }
    // The low 16 bits; the rest of `to` stays.
    void load16(HostReg to, const HostMem& from) {
        byte(0x66);
        op_mem(0x8b, to, from, false);
    }
    void mov16(HostReg to, HostReg from) {
        byte(0x66);
        mov(to, from, false);
    }
    void lea16(HostReg to, const HostMem& mem) {
        byte(0x66);
        op_mem(0x8d, to, mem, false);
    }
    void zero_extend16(HostReg to, HostReg from) {
        rex(false, to, 0, from);
        byte(0x0f);
        byte(0xb7);
        modrm_reg(to, from);
    }
    void store8(const HostMem& to, HostReg from) {
        rex_mem(false, from, to, from >= 4);
        byte(0x88);
        modrm_mem(from, to);
    }
    void load_zero16(HostReg to, const HostMem& from) {
        rex_mem(false, to, from);
        byte(0x0f);
        byte(0xb7);
        modrm_mem(to, from);
    }
    void load_zero8(HostReg to, const HostMem& from) {
        rex_mem(false, to, from);
        byte(0x0f);
        byte(0xb6);
        modrm_mem(to, from);
    }
    void store_imm32(const HostMem& to, int32_t value, bool w = true) {
        rex_mem(w, 0, to);
        byte(0xc7);
        modrm_mem(0, to);
        dword(static_cast<uint32_t>(value));
    }
    void store_imm8(const HostMem& to, uint8_t value) {
        rex_mem(false, 0, to);
        byte(0xc6);
        modrm_mem(0, to);
        byte(value);
    }
    void mov_imm(HostReg to, uint64_t value);
    // With all eight bytes of the value at its end.
    void mov_imm64(HostReg to, uint64_t value) {
        rex(true, 0, 0, to);
        byte(0xb8u | (to & 7u));
        qword(value);
    }
    void lea(HostReg to, const HostMem& mem, bool w = true) { op_mem(0x8d, to, mem, w); }

    void alu(Alu op, HostReg to, HostReg from, bool w = true) {
        rex(w, from, 0, to);
        byte(static_cast<unsigned>(op) << 3 | 1);
        modrm_reg(from, to);
    }
    void alu(Alu op, HostReg to, const HostMem& from, bool w = true) {
        op_mem(static_cast<unsigned>(op) << 3 | 3, to, from, w);
    }
    void alu_imm(Alu op, HostReg to, int32_t value, bool w = true);
    void alu_mem_imm(Alu op, const HostMem& to, int32_t value, bool w);
    void cmp8_mem_imm(const HostMem& mem, uint8_t value) {
        rex_mem(false, 0, mem);
        byte(0x80);
        modrm_mem(7, mem);
        byte(value);
    }
    void increment16(const HostMem& mem) {
        byte(0x66);
        rex_mem(false, 0, mem);
        byte(0xff);
        modrm_mem(0, mem);
    }
    void test_imm(HostReg reg, int32_t value, bool w = true) {
        rex(w, 0, 0, reg);
        byte(0xf7);
        modrm_reg(0, reg);
        dword(static_cast<uint32_t>(value));
    }
    void test(HostReg a, HostReg b, bool w = true) {
        rex(w, b, 0, a);
        byte(0x85);
        modrm_reg(b, a);
    }
    void shift_right(HostReg reg, uint8_t count, bool w = true) {
        rex(w, 0, 0, reg);
        byte(0xc1);
        modrm_reg(5, reg);
        byte(count);
    }
    // RORX: no flags [BMI2].
    void rorx(HostReg to, HostReg from, uint8_t count) {
        byte(0xc4);
        byte((to >> 3 ? 0 : 0x80u) | 0x40u | (from >> 3 ? 0 : 0x20u) | 3);
        byte(0xfb);
        byte(0xf0);
        modrm_reg(to, from);
        byte(count);
    }
    void imul_imm(HostReg to, HostReg from, int32_t value, bool w) {
        rex(w, to, 0, from);
        byte(0x69);
        modrm_reg(to, from);
        dword(static_cast<uint32_t>(value));
    }
    void bt_mem(const HostMem& mem, uint8_t bit) {
        rex_mem(false, 4, mem);
        byte(0x0f);
        byte(0xba);
        modrm_mem(4, mem);
        byte(bit);
    }
    void gs() { byte(0x65); }  // before an instruction with a memory operand
    void lahf() { byte(0x9f); }
    void sahf() { byte(0x9e); }
    void seto_al() {
        byte(0x0f);
        byte(0x90);
        byte(0xc0);
    }
    void add_al(uint8_t value) {
        byte(0x04);
        byte(value);
    }
    void push(HostReg reg) {
        rex(false, 0, 0, reg);
        byte(0x50u | (reg & 7u));
    }
    void pop(HostReg reg) {
        rex(false, 0, 0, reg);
        byte(0x58u | (reg & 7u));
    }
    void op_push(const HostMem& mem) {
        rex_mem(false, 0, mem);
        byte(0xff);
        modrm_mem(6, mem);
    }
    void op_pop(const HostMem& mem) {
        rex_mem(false, 0, mem);
        byte(0x8f);
        modrm_mem(0, mem);
    }
    void ret() { byte(0xc3); }
    void jmp_reg(HostReg reg) {
        rex(false, 0, 0, reg);
        byte(0xff);
        modrm_reg(4, reg);
    }
    void jmp_mem(const HostMem& mem) {
        rex_mem(false, 0, mem);
        byte(0xff);
        modrm_mem(4, mem);
    }
    void call_reg(HostReg reg) {
        rex(false, 0, 0, reg);
        byte(0xff);
        modrm_reg(2, reg);
    }

    // --- branches: 32-bit displacements throughout, so that they can be changed later ---
    void bind(Label& label);
    void jmp(Label& label) {
        byte(0xe9);
        use(label);
    }
    void jcc(Condition condition, Label& label) {
        byte(0x0f);
        byte(0x80u | static_cast<unsigned>(condition));
        use(label);
    }
    void jmp_to(const std::byte* target) {
        byte(0xe9);
        relative(target);
    }
    void jcc_to(Condition condition, const std::byte* target) {
        byte(0x0f);
        byte(0x80u | static_cast<unsigned>(condition));
        relative(target);
    }
    void call_to(const std::byte* target) {
        byte(0xe8);
        relative(target);
    }
    // Makes the displacement that ends at `offset` + 4 refer to the label.
    void patch_dword(uint32_t offset, uint32_t value) {
        if (begin_ + offset + 4 <= end_) std::memcpy(begin_ + offset, &value, 4);
    }

  private:
    void op_mem(unsigned opcode, unsigned reg, const HostMem& mem, bool w) {
        rex_mem(w, reg, mem);
        byte(opcode);
        modrm_mem(reg, mem);
    }
    void use(Label& label);
    void relative(const std::byte* target) {
        dword(static_cast<uint32_t>(target - (here() + 4)));
    }

    std::byte* const begin_;
    std::byte* at_;
    std::byte* const end_;
    const std::byte* const execute_;
};

}  // namespace mynah::translator
