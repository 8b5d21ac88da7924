#pragma once
#include <cstdint>
#include "cpu/cpu_state.h"
#include "cpu/mmu.h"
namespace mynah::interpreter {
bool debug_active(const CpuState& s);
uint64_t code_breakpoint_hits(const CpuState& s, uint64_t linear);
uint64_t data_breakpoint_hits(const CpuState& s, uint64_t linear, unsigned size, AccessKind kind);
}
