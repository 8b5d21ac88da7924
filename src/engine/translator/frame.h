#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/translator/block.h"
#include "engine/translator/emitter.h"

namespace mynah::translator {

// What emitted code reaches through RSP: it runs with RSP at this object, and the stack of the
// functions it calls lies below. Core, whose state it works on, lies above.
struct alignas(64) HostFrame {
    // The page the guest's stack accesses went to last: tag and host page, as in SoftTlb::Entry;
    // hits mean that the page may be read and written.
    uint64_t stack_tag = kNoStack;
    uint64_t stack_host = 0;
    // SoftTlb::Table whose code_ids guards look at; an empty one when somebody wants attention.
    std::atomic<uintptr_t> gate{0};
    uint64_t exit_value = 0;  // what thunks pass on
    uint64_t host_rsp = 0;
    uint8_t vectors_live = 0;  // the guest's vector registers and MXCSR are in the host's
    uint8_t x87_live = 0;
    uint64_t scratch = 0;  // for one instruction

    static constexpr uint16_t kHostFcw = 0x37f;
    uint16_t host_fcw = kHostFcw;  // what C++ wants
    // Host addresses of groups of accesses, for one run of a block.
    static constexpr unsigned kParked = 16;
    std::array<uint64_t, kParked> parked{};
    // A copy of what an instruction reads across a page's end.
    alignas(64) std::array<std::byte, 64> operand{};
    // The guest's x87 state on its way, as XSAVE has it. Only the first part is used.
    alignas(64) std::array<std::byte, 576> x87_image{};

    static constexpr uint64_t kNoStack = 0x8000000000000000;  // not canonical

    // Where indirect jumps went: guest address, and the guarded entry of the block there, by the low
    // 16 bits of the address. A block of another mode never gets in: see Processor::note_jump.
    static constexpr unsigned kJumps = 1u << 16;
    std::array<uint64_t, kJumps> jump_rips;
    std::array<const std::byte*, kJumps> jump_code;
    static unsigned jump_index(uint64_t rip) { return rip & (kJumps - 1); }
    // An entry that stands for nothing holds an address that belongs to another.
    static uint64_t no_jump(unsigned index) { return index == 0 ? 1u : 0u; }

    // Of brief blocks, by number: how often they were entered by their guard of late.
    std::array<uint16_t, kMaxBlocks> entries;

    // The same for code of 16 and 32 bits, of all its modes. No mode has the number 0. Without
    // initialisers: the frame lies in memory that is zero, and most guests never touch these.
    static constexpr unsigned kLegacyJumpBits = 13;
    struct LegacyJump {
        uint32_t rip;
        uint32_t mode;
        const std::byte* code;
    };
    static constexpr uint32_t kJumpFactor = 0x9e3779b1;
    std::array<LegacyJump, 1u << kLegacyJumpBits> legacy_jumps;
    static unsigned legacy_jump_index(uint64_t rip) {
        return (static_cast<uint32_t>(rip) * kJumpFactor) >> (32 - kLegacyJumpBits);
    }
};

// Distances from the frame to what emitted code uses of Core; the same for all processors.
struct Offsets {
    int32_t gpr = 0;
    int32_t flags = 0;         // Flags::arithmetic
    int32_t system_flags = 0;  // Flags::system
    int32_t data_table = 0;    // pointer to SoftTlb::Table
    int32_t segment_base = 0;  // as 64-bit mode sees them, 8 bytes each
    int32_t segments = 0;      // SegmentRegister each
    int32_t vector = 0;
    int32_t mxcsr = 0;
    int32_t x87 = 0;
    int32_t tsc_offset = 0;
};

inline constexpr HostReg kFrameReg = kHostRsp;
// Free for the translator's own use between guest instructions. RAX, because that is where LAHF
// and SETO put the flags.
inline constexpr HostReg kScratch0 = kHostRax, kScratch1 = kHostR15;

// Where guest registers live: most in the host register of the same name; RAX and RSP in R10 and
// R11; and R10, R11 and R15 in memory.
inline constexpr std::array<HostReg, 16> kHomeOf = {
    kHostR10,   kHostRcx,   kHostRdx, kHostRbx, kHostR11, kHostRbp, kHostRsi,  kHostRdi,
    kHostR8,    kHostR9,    kNoHostReg, kNoHostReg, kHostR12, kHostR13, kHostR14, kNoHostReg};

}  // namespace mynah::translator
