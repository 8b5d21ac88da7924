#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/mutex.h"
#include "base/result.h"
#include "cpu/cpu_state.h"
#include "engine/interpreter/host_vector_arena.h"
#include "engine/interpreter/host_vector_code.h"
#include "engine/interpreter/x87_code.h"

namespace mynah::interpreter {

// Code that runs one vector instruction on the host. The pointers are to the operands encoded in
// ModRM.reg, ModRM.rm, VEX.vvvv and imm8[7:4]: registers of the guest, or a copy of the memory
// operand; those that the instruction does not have may be anything. Returns 0, or 1 for an
// unmasked SIMD floating-point exception, in which case nothing was stored. The host's MXCSR must
// be the guest's if the instruction looks at it.
using VectorStub = uint64_t (*)(void* reg, void* rm, void* vvvv, void* is4, CpuState* state);
// What besides its code there is to know about a vector instruction when it runs.
struct VectorForm {
    VectorStub stub = nullptr;
    uint8_t memory_bytes = 0;
    uint8_t alignment = 1;    // of the memory operand, else #GP(0)
    bool mmx_gate = false;    // checked, and has the effects of, an MMX instruction
    bool sse_gate = false;    // needs CR4.OSFXSR
    uint8_t mmx_written = 0;  // 1: the register of ModRM.reg, 2: of ModRM.rm
};

// The two ways to run an x87 instruction (x87_code.h): on an FXSAVE image of the whole state, and,
// if there is one, on its operands alone.
using X87Stub = void (*)(void* image, void* memory, void*, void*, CpuState* state);
using X87ShortStub = uint16_t (*)(void* top, void* operand, void*, void*, CpuState* state);

struct X87Form {
    X87Stub stub = nullptr;
    X87ShortStub short_stub = nullptr;
    X87Short shape;
    uint64_t instruction_address = 0;  // what FIP is when the host has run `stub`
    uint16_t host_opcode = 0;          // what FOP is then
    uint8_t memory_bytes = 0;
};

// The host's x87, MMX, SSE and AVX units at the guests' service: each instruction that a guest has
// is re-encoded once, into a stub, and run by the silicon, so that results and exception flags are
// the processor's own.
//
// Stubs and forms are kept for good. Their number is bounded because register numbers are not part
// of them: every instruction in every encoding with every immediate comes to less than 140,000
// stubs, which fill half of kArenaBytes (StubBound in host_vector_test counts them). Memory is used
// as they come; a guest system gets by with some hundreds. Should the room be used up nevertheless,
// there is no stub (null).
//
// Any thread may call; one per machine.
class HostVectorUnit {
 public:
    static constexpr size_t kArenaBytes = 8u << 20;

    static Result<std::unique_ptr<HostVectorUnit>> create();

    // The form for an instruction; `rest` is everything but the stub. Valid as long as this object.
    const VectorForm* form(const HostInstruction& instruction, VectorForm rest) EXCLUDES(mutex_);
    const X87Form* x87_form(const X87Code& instruction, uint8_t memory_bytes) EXCLUDES(mutex_);

    struct Usage {
        size_t stubs, code_bytes;
    };
    Usage usage() EXCLUDES(mutex_);

 private:
    explicit HostVectorUnit(std::unique_ptr<StubArena> arena) : arena_(std::move(arena)) {}

    // What tells one form from another, in three words.
    struct Key {
        uint64_t words[3];
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const;
    };
    static Key key_of(const HostInstruction& instruction, const VectorForm& rest);

    Mutex mutex_;
    const std::unique_ptr<StubArena> arena_;
    std::unordered_map<Key, VectorForm, KeyHash> forms_ GUARDED_BY(mutex_);
    std::unordered_map<uint32_t, X87Form> x87_forms_ GUARDED_BY(mutex_);
};

}  // namespace mynah::interpreter
