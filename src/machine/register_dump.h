#pragma once

#include <string>

#include "cpu/cpu_state.h"
#include "cpu/mmu.h"

namespace mynah {

// The instructions at RIP, as many as fit a few lines; where they cannot be reached, that.
std::string format_instructions(unsigned vcpu, const CpuState& state, const GuestMemory& memory,
                                Mmu& mmu);
// A processor's registers in readable form, several lines.
std::string format_registers(unsigned vcpu, const CpuState& state);

}  // namespace mynah
