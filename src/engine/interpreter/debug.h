#pragma once

#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/mmu.h"

namespace mynah::interpreter {

// Breakpoint registers DR0 to DR3 with DR7 [SDM 3B 17.2]. The functions return bits of DR6
// (B0 to B3), 0 for no hit. Addresses are linear.

// Whether any breakpoint is enabled; without one the functions below never hit.
bool debug_active(const CpuState& state);

// Before an instruction at `linear` unless RF is set or MOV SS came before it: the #DB is a fault.
uint64_t code_breakpoint_hits(const CpuState& state, uint64_t linear);
// For a data access of `size` bytes; the #DB is a trap behind the instruction.
uint64_t data_breakpoint_hits(const CpuState& state, uint64_t linear, unsigned size,
                              AccessKind kind);
// For IN, OUT, INS, OUTS; a trap. Needs CR4.DE.
uint64_t io_breakpoint_hits(const CpuState& state, uint16_t port, unsigned size);

}  // namespace mynah::interpreter
