#pragma once

#include "silicon/block.h"
#include "silicon/form_choice.h"

namespace mynah::silicon {

// Makes block `number`: 3 to 30 instructions of any form, with forward branches, loops that end,
// calls and returns, direct and through registers and memory. Every address that a block computes
// with is loaded in it, or pinned in a register that nothing in the block changes, so that it
// reaches only the test areas.
void generate_block(const FormChoice& choice, uint64_t seed, uint64_t number, Block& out);

}  // namespace mynah::silicon
