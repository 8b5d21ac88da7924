#pragma once

#include <cstdint>

#include "engine/interpreter/host_vector_code.h"

namespace mynah::interpreter {

// An x87 instruction as the host is to run it.
struct X87Code {
    uint8_t opcode;  // D8 to DF
    uint8_t modrm;   // of memory forms only the reg field counts
    bool memory;
    bool flags_in, flags_out;  // looks at RFLAGS, changes them

    unsigned reg() const { return modrm >> 3 & 7u; }
    unsigned rm() const { return modrm & 7u; }
};

// The general stub: loads the whole x87 state from the FXSAVE image at RDI, runs the instruction,
// with the memory operand, if any, at RSI, and stores the state back. RFLAGS are CpuState's, at R8.
// instruction_offset: where in the stub the instruction is, to recognise its address in FIP.
void emit_x87_stub(const X87Code& instruction, CodeBuffer& out, unsigned& instruction_offset);

// What a short stub does: it loads just the operands into an empty stack, as 80-bit numbers that
// raise no exception on their way, and returns FSW after the instruction in AX.
enum class X87Kind : uint8_t {
    kNone,             // there is no short stub
    kConstant,         // pushes: FLD1 and its kin
    kLoad,             // pushes a memory operand
    kStore,            // ST(0) to memory
    kUnary,            // ST(0) to ST(0)
    kMemory,           // ST(0) and memory to ST(0)
    kCompareMemory,    // ST(0) with memory
    kToTop,            // ST(0) and ST(i) to ST(0)
    kToOther,          // ST(0) and ST(i) to ST(i)
    kCompare,          // ST(0) with ST(i)
};

struct X87Short {
    X87Kind kind = X87Kind::kNone;
    uint8_t pops = 0;                 // by the guest's instruction; the stub itself leaves nothing
    uint16_t conditions = 0x0200;     // condition codes that FSW after the instruction decides (C1)

    bool pushes() const { return kind == X87Kind::kConstant || kind == X87Kind::kLoad; }
    bool uses_other() const {
        return kind == X87Kind::kToTop || kind == X87Kind::kToOther || kind == X87Kind::kCompare;
    }
};

// Whether and how an instruction can be run by a short stub.
X87Short classify_x87(const X87Code& instruction);

// RDI: ST(0), or the register to push to; RSI: ST(i) or the staged memory operand; R8: CpuState.
void emit_x87_short_stub(const X87Code& instruction, X87Kind kind, CodeBuffer& out);

}  // namespace mynah::interpreter
