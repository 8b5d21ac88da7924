#pragma once

#include <span>

#include "isa/instruction.h"

namespace mynah::interpreter {

// The MMX, SSE and AVX instructions that the host runs as they are, but for their operands. Not
// among them: those that access memory in a way of their own (vector_masked.cpp) and those that
// only concern state (fpu_state.cpp).
std::span<const ZydisMnemonic> vector_mnemonics();

}  // namespace mynah::interpreter
