#pragma once

#include <cstdint>

#include "spec/x86/segment.h"

namespace mynah::interpreter {

class Core;
struct Op;

// What became of one instruction.
enum class Outcome : uint8_t {
    kNext,    // completed; the next op of the block follows
    kJump,    // completed; state.rip is the next instruction's address; nothing else that
              // blocks depend on has changed
    kLeave,   // as kJump, but modes, privileges, masks or translations may have changed, or the
              // vCPU must stop: everything derived from the state is computed again
    kRepeat,  // gave way before it was complete; state.rip is this instruction, to be restarted
    kFault,   // raised Core::fault; the registers are as before the instruction
};

using Handler = Outcome (*)(Core&, const Op&);

// One guest instruction, decoded into what its handler needs; 32 bytes, so that two share a cache
// line.
//
// Registers are slots of CpuState::gpr; base and index are kZeroSlot where there is none, and base
// is kRipBaseSlot for RIP-relative operands (disp then counts from the block's first byte).
// 8-bit registers are byte offsets into gpr instead (AH is 1).
struct Op {
    Handler handler = nullptr;
    uint64_t imm = 0;  // sign- or zero-extended as the instruction says; or a handler's own pointer
    int32_t disp = 0;
    uint8_t dst = 0, src = 0, base = 17, index = 17;
    uint8_t scale_shift = 0;
    x86::Segment segment = x86::Segment::kDs;
    uint8_t address_bits = 64;  // 16, 32, 64: width the effective address wraps at
    uint8_t length = 0;         // bytes of the instruction
    uint16_t offset = 0;        // of the instruction from the block's first byte
    uint16_t aux = 0;           // the handler's own
};
static_assert(sizeof(Op) == 32);

}  // namespace mynah::interpreter
