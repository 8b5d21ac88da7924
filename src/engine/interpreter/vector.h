#pragma once

// What the files of the vector and x87 instructions share.

#include <cstddef>
#include <cstdint>

#include "cpu/cpu_state.h"
#include "engine/interpreter/core.h"
#include "engine/interpreter/op.h"
#include "isa/instruction.h"

namespace mynah::interpreter {

// 16 and 32 bytes of memory, for Core::load and Core::store.
struct Bytes16 {
    uint64_t words[2];
};
struct Bytes32 {
    uint64_t words[4];
};

// Which checks come before an instruction [SDM 3A 2.5, 13.1; SDM 2A 2.4].
enum class Gate : uint8_t { kSse, kVex, kMmx };

// Whether SSE or AVX instructions may run now; if not, #UD or #NM is recorded.
inline bool sse_allowed(Core& core) {
    const CpuState& s = core.s;
    if ((s.cr0 & (x86::cr0::kEm | x86::cr0::kTs)) == 0 && (s.cr4 & x86::cr4::kOsfxsr) != 0)
        [[likely]] {
        return true;
    }
    const bool undefined = (s.cr0 & x86::cr0::kEm) != 0 || (s.cr4 & x86::cr4::kOsfxsr) == 0;
    return core.raised(undefined ? Exception::ud() : Exception::nm());
}
inline bool vex_allowed(Core& core) {
    const CpuState& s = core.s;
    const bool enabled = (s.cr4 & x86::cr4::kOsxsave) != 0 && (s.xcr0 & 6) == 6;
    if (enabled && (s.cr0 & x86::cr0::kTs) == 0) [[likely]] return true;
    return core.raised(enabled ? Exception::nm() : Exception::ud());
}
// The same for MMX: an x87 exception that is pending comes out now.
inline bool mmx_allowed(Core& core) {
    const CpuState& s = core.s;
    if ((s.cr0 & x86::cr0::kEm) != 0) return core.raised(Exception::ud());
    if ((s.cr0 & x86::cr0::kTs) != 0) return core.raised(Exception::nm());
    if ((s.x87.fsw & 0x80) != 0) return core.raised(Exception::mf());
    return true;
}

// What the address of a memory operand of that many bytes must be a multiple of.
uint8_t vector_alignment(const ZydisDecodedInstruction& info, unsigned bytes);

// The place of a vector, MMX or general register, in units of 8 bytes from the CpuState's start.
uint8_t operand_place(ZydisRegister reg);
inline void* at_place(CpuState& state, unsigned place) {
    return reinterpret_cast<std::byte*>(&state) + size_t{8} * place;
}
static_assert(offsetof(CpuState, vector) + sizeof(CpuState::vector) <= 8 * 256);

// The outcome after operand_linear has failed for an operand of that alignment: a misaligned
// address counts before a non-canonical one.
Outcome refuse_address(Core& core, const Op& op, unsigned alignment);

// What an instruction that uses MMX registers does to the x87 state besides: the top of the stack
// becomes 0, and when it is complete all registers are valid [SDM 3A 12.2].
void begin_mmx(X87State& x87);
inline constexpr uint8_t kAllValid = 0xff;

// A handler for encodings that are not instructions in the current mode.
Outcome raise_undefined(Core& core, const Op& op);

// Fills in a plain move between a vector register and memory or another register, if it is one:
// these need no stub.
struct Build;
bool build_vector_move(Build& build);

}  // namespace mynah::interpreter
