#pragma once

#include "engine/interpreter/core.h"

namespace mynah::interpreter {

// What an SMI does: saves the state in management memory and begins at SMBASE + 8000h
// [AMD APM2 10.3].
void enter_management_mode(Core& core);

}  // namespace mynah::interpreter
