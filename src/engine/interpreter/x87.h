#pragma once

// What the files about x87 instructions share.

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/x87_code.h"

namespace mynah::interpreter {

void add_x87(BuilderTable& table);

// Checks before a waiting x87 instruction; records the fault.
bool x87_allowed(Core& core);

// Runs an instruction without memory operand on the whole x87 state, with all that can come of it.
void run_x87_on_state(Core& core, const Op& op);

// Whether the host records operand (FDP) and opcode (FOP) of every instruction, or only of those
// that raise an unmasked exception; the guest's processor is the same in this (CPUID.7.0:EBX[6]).
bool records_every_operand();
bool records_every_opcode();

// The bookkeeping of an instruction that was run otherwise.
void note_x87_instruction(Core& core, const Op& op);

// Sets the handler of an instruction that only moves registers, if it is one: these need no
// arithmetic. op.imm must be filled in as well, for an empty or full stack.
bool build_x87_move(const X87Code& code, Op& op);

}  // namespace mynah::interpreter
