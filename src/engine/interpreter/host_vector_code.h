#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mynah::interpreter {

// What an operand of a vector instruction is.
enum class OperandKind : uint8_t { kNone, kGpr, kMmx, kXmm, kYmm, kMemory };

// One vector instruction as the host is to run it. Register numbers are not part of it: a stub
// gets pointers to its registers, so the number of different stubs is bounded by the number of
// instruction forms and immediates, whatever a guest does (see HostVectorUnit).
struct HostInstruction {
    struct Operand {
        OperandKind kind = OperandKind::kNone;
        bool read = false;
        bool written = false;
        friend bool operator==(const Operand&, const Operand&) = default;
    };
    bool vex = false;
    uint8_t prefix = 0;  // 0, 0x66, 0xf2, 0xf3: the one that selects the instruction
    uint8_t map = 1;     // 1: 0F, 2: 0F 38, 3: 0F 3A
    uint8_t opcode = 0;
    bool wide = false;        // REX.W or VEX.W
    bool long_vector = false; // VEX.L
    uint8_t extension = 0;    // ModRM.reg, where it is no register
    bool has_immediate = false;
    uint8_t immediate = 0;
    Operand reg, rm, vvvv, is4;    // by where they are encoded
    Operand xmm0, rax, rdx, rcx;   // implicit
    bool flags_written = false;

    bool uses_mmx() const { return reg.kind == OperandKind::kMmx || rm.kind == OperandKind::kMmx; }
    friend bool operator==(const HostInstruction&, const HostInstruction&) = default;
};

// Machine code under construction. Sized for the longest stub (checked by host_vector_test).
class CodeBuffer {
 public:
    template <typename... Bytes>
    void bytes(Bytes... values) {
        (byte(static_cast<uint8_t>(values)), ...);
    }
    void byte(uint8_t value) { code_[size_++] = value; }
    void dword(uint32_t value) {
        for (unsigned shift = 0; shift < 32; shift += 8) byte(static_cast<uint8_t>(value >> shift));
    }
    std::span<const uint8_t> code() const { return std::span(code_).first(size_); }

 private:
    std::array<uint8_t, 256> code_{};
    size_t size_ = 0;
};

// The stub of a vector instruction, to be called as VectorStub (host_vector.h).
void emit_vector_stub(const HostInstruction& instruction, CodeBuffer& out);

// What a stub that faulted continues with: returns 1 to its caller, as a complete stub returns 0.
void emit_fault_exit(CodeBuffer& out);

}  // namespace mynah::interpreter
