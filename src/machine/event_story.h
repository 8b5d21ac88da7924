#pragma once

#include <string>

#include "cpu/cpu_state.h"
#include "cpu/event_trail.h"
#include "cpu/mmu.h"
#include "memory/guest_memory.h"

namespace mynah {

// What a processor did last: the exceptions and interrupts, those that ended it as a chain
// ("#PF at ... -> #DF -> shutdown"), and the instructions before RIP, as far as the engine's trail
// shows them. Instructions are read from memory as it is now: code that was changed since shows as
// it became. Lines.
std::string format_trail(unsigned vcpu, const CpuState& state, const EventTrail& trail,
                         const GuestMemory& memory, Mmu& mmu);

}  // namespace mynah
