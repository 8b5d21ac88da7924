#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "isa/instruction.h"

namespace mynah::silicon {

// Where the code under test and its data lie, at the same linear addresses on the host and in the
// guest. The pages around them are not mapped.
inline constexpr uint64_t kCodeAddress = 0x10000000, kCodeBytes = 0x2000;
inline constexpr uint64_t kDataAddress = 0x20000000, kDataBytes = 0x4000;
inline constexpr uint64_t kReadOnlyAddress = kDataAddress + kDataBytes, kReadOnlyBytes = 0x1000;
inline constexpr uint64_t kMemoryBytes = kDataBytes + kReadOnlyBytes;
// The same data again at further addresses, so that one access of many can be made to fault.
inline constexpr uint64_t kAliases = 16, kAliasStride = 0x10000;
// The same code again, writable. A block says which of the two addresses it runs at.
inline constexpr uint64_t kWritableCodeAddress = 0x11000000;
// What blocks need for themselves: counters, targets of indirect branches, constants.
inline constexpr uint64_t kScratchAddress = 0x12000000, kScratchBytes = 0x1000;
// XSAVE area with x87, SSE and AVX in standard form [SDM 1 13.4].
inline constexpr unsigned kXsaveBytes = 832, kMxcsrOffset = 24, kXmmOffset = 160,
                          kHeaderOffset = 512, kAvxOffset = 576;

// The user-visible registers.
struct Registers {
    std::array<uint64_t, 16> gpr{};
    uint64_t rip = 0;
    uint64_t rflags = 0;
    uint64_t gs_base = 0;
    std::array<uint16_t, 6> selectors{};  // ES CS SS DS FS GS
    alignas(64) std::array<std::byte, kXsaveBytes> xsave{};
};

// Bytes that differ from the common contents of the data area. The address is the first alias's.
struct Patch {
    uint64_t address;
    std::vector<std::byte> bytes;
};

// One instruction with everything it works on.
struct Case {
    uint64_t number = 0;
    CodeSize mode = CodeSize::k64;
    std::array<uint8_t, 16> code{};
    unsigned code_offset = 0;  // from kCodeAddress
    Instruction instruction{};
    Registers before;
    std::vector<Patch> memory;

    uint64_t address() const { return kCodeAddress + code_offset; }
};

// A block of instructions, ready to run from its first byte; it ends with INT3 or a fault.
struct Program {
    CodeSize mode = CodeSize::k64;
    uint64_t address = 0;  // in one of the two code areas
    std::vector<uint8_t> code;
    Registers before;
    std::vector<Patch> memory;
    alignas(64) std::array<std::byte, kScratchBytes> scratch{};
    bool modifies_itself = false;

    uint64_t code_offset() const { return address & (kCodeBytes - 1); }
};

// A page of the test areas that is less accessible than usual while a block runs.
struct Injection {
    enum class Kind : uint8_t { kNone, kAbsent, kReadOnly, kSupervisor, kNoExecute };
    Kind kind = Kind::kNone;
    uint64_t page = 0;
};

// How an engine runs a block.
enum class Pace : uint8_t {
    kFree,
    kAgain,    // what the engine kept of the last run is still true
    kChopped,  // returns to its caller after few instructions, many times
};

// What became of it.
struct Ending {
    static constexpr int kCompleted = -1, kLost = -2;  // kLost: the runner could not tell
    static constexpr int kUnjudged = -3;  // an instruction that the host's kernel emulates
    int vector = kCompleted;                           // exception, if any
    uint32_t error_code = 0;
    uint64_t fault_address = 0;  // of #PF
    Registers after;
    std::array<std::byte, kMemoryBytes> memory{};
};

// Something that can run a case: the host, or an engine.
class Runner {
 public:
    virtual ~Runner() = default;
    // Fills `result`, which is reused from case to case.
    virtual void run(const Case& test, Ending& result) = 0;
    // kLost if the block did not end in good time.
    virtual void run(const Program& block, const Injection& injection, Pace pace,
                     Ending& result) = 0;
};

// Contents of the data area that cases start from.
std::span<const std::byte, kMemoryBytes> common_memory();
// The FS base of this thread, which guests are given too because the host cannot do without it.
uint64_t host_fs_base();

}  // namespace mynah::silicon
