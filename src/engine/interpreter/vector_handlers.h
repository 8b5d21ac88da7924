#pragma once

#include "engine/interpreter/op.h"
#include "engine/interpreter/vector.h"

namespace mynah::interpreter {

enum class MemoryUse : uint8_t { kNone, kLoad, kStore };

// The handler that runs a VectorForm (in op.imm). `bytes`: size of the memory operand. `floating`:
// the instruction looks at MXCSR or changes it.
Handler vector_handler(Gate gate, MemoryUse use, unsigned bytes, bool floating);
// The same for VCVTPH2PS and VCVTPS2PH.
Handler half_precision_handler(MemoryUse use, unsigned bytes);

}  // namespace mynah::interpreter
