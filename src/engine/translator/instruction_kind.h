#pragma once

#include "isa/instruction.h"

namespace mynah::translator {

enum class BranchKind : uint8_t {
    kNone,
    kConditional,  // Jcc, LOOP, JRCXZ: goes on behind it when not taken
    kFinal,        // nothing behind it belongs to the block
};

BranchKind branch_kind(ZydisMnemonic mnemonic);

// Integer instructions that are written again as they are, with other registers and memory.
bool is_generic_integer(ZydisMnemonic mnemonic);

// Whether it has a memory operand, also a hidden one (the stack, strings).
bool touches_memory(const Instruction& instruction);

// Number of a general register, not AH and its kin.
unsigned general_register(ZydisRegister reg);
bool is_general_register(const ZydisDecodedOperand& operand);
// The general registers that it writes, or parts of them, as a mask.
uint16_t registers_written(const Instruction& instruction);
bool is_high_byte(ZydisRegister reg);  // AH, CH, DH, BH

// An instruction that certainly neither needs the interpreter nor clobbers the host's flags on the way.
bool is_plain(const Instruction& instruction);

}  // namespace mynah::translator
