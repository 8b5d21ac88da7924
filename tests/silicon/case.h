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

// One instruction with everything it works on.
struct Case {
    uint64_t number = 0;
    CodeSize mode = CodeSize::k64;
    std::array<uint8_t, 16> code{};
    unsigned code_offset = 0;  // from kCodeAddress
    Instruction instruction{};
    Registers before;
    struct Patch {
        uint64_t address;
        std::vector<std::byte> bytes;
    };
    std::vector<Patch> memory;  // what differs from the common contents

    uint64_t address() const { return kCodeAddress + code_offset; }
};

// What became of it.
struct Ending {
    static constexpr int kCompleted = -1, kLost = -2;  // kLost: the runner could not tell
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
};

// Contents of the data area that cases start from.
std::span<const std::byte, kMemoryBytes> common_memory();
// The FS base of this thread, which guests are given too because the host cannot do without it.
uint64_t host_fs_base();

}  // namespace mynah::silicon
