#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/translator/emitter.h"
#include "isa/instruction.h"

namespace mynah::translator {

// What takes the place of an instruction's operands when it is written again. Numbers are those
// of any register file; those of fields that are no registers stay as they are.
struct Fields {
    uint8_t reg = 0;     // ModRM.reg, 4 bits
    uint8_t rm = 0;      // ModRM.rm if it is a register
    uint8_t vvvv = 0;    // VEX.vvvv
    uint8_t opcode = 0;  // the register in the opcode byte
    bool has_memory = false;
    HostMem memory{};
    bool force_rex = false;  // 8-bit registers 4 to 7 are SPL to DIL
};

// The fields as the instruction has them.
Fields original_fields(const Instruction& instruction, const std::byte* bytes);

// Writes the instruction again, legacy or VEX encoded, with other operands. Segment, address-size
// and branch-hint prefixes are dropped.
void reencode(Emitter& emitter, const Instruction& instruction, const std::byte* bytes,
              const Fields& fields);

}  // namespace mynah::translator
