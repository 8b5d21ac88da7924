#pragma once

#include <string>

#include "cpu/cpu_state.h"

namespace mynah {

// A processor's registers in readable form, several lines.
std::string format_registers(unsigned vcpu, const CpuState& state);

}  // namespace mynah
