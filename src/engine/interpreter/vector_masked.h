#pragma once

#include "engine/interpreter/builder.h"

namespace mynah::interpreter {

// Instructions that touch only some elements of their memory operand: MASKMOVQ, MASKMOVDQU,
// VMASKMOVPS and its kin, the gathers.
void add_masked_vector(BuilderTable& table);

}  // namespace mynah::interpreter
