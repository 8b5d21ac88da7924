#pragma once

#include <string>

#include "cpu/cpu_state.h"
#include "cpu/mmu.h"
#include "isa/instruction.h"

namespace mynah {

// One instruction of the guest's at this linear address, by its page tables as they are; `line`: the
// address, its bytes and what it is, ended by a newline.
struct FetchedInstruction {
    bool decoded = false;
    Instruction instruction;
    std::string line;
};
FetchedInstruction fetch_instruction(const CpuState& state, const GuestMemory& memory, Mmu& mmu,
                                     uint64_t linear, CodeSize size);

// The instructions at RIP, as many as fit a few lines; where they cannot be reached, that.
std::string format_instructions(unsigned vcpu, const CpuState& state, const GuestMemory& memory,
                                Mmu& mmu);
// A processor's registers in readable form, several lines.
std::string format_registers(unsigned vcpu, const CpuState& state);

}  // namespace mynah
