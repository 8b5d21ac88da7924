#pragma once

#include "engine/translator/emitter.h"
#include "engine/translator/frame.h"

namespace mynah::translator {

// The host's x87 unit changes hands between the guest and C++, by XSAVE and XRSTOR of the x87 part
// alone: the vector registers are looked after separately. `below`: distance from RSP to the frame.

// CpuState::x87 to the host. Clobbers kScratch0 and flags.
void emit_load_x87(Emitter& emitter, const Offsets& offsets, int32_t below);

// If the host has the guest's state: puts it into CpuState, and leaves the host's empty stack and
// control word as the ABI wants them. Clobbers RAX, RCX, RDX and flags.
void emit_save_x87(Emitter& emitter, const Offsets& offsets, int32_t below);

// If emit_save_x87 has just saved it, and nobody changed CpuState since: back to the host, which is
// quicker than emit_load_x87. Clobbers kScratch1, RDX and flags.
void emit_reload_x87(Emitter& emitter, int32_t below);

}  // namespace mynah::translator
