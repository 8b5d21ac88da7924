#pragma once

#include <string>

#include "cpu/cpu_state.h"

namespace mynah::translator {

// What code in a block can change, as lines of text.
std::string state_lines(const CpuState& state);

// One line for everything that differs, translated code's first; empty if nothing does. The
// engines' own slots are not looked at.
std::string state_differences(const CpuState& translated, const CpuState& interpreted);

}  // namespace mynah::translator
