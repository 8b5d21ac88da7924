#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/translator/flag_recipe.h"

namespace mynah::translator {

// Where the arithmetic flags are, between two guest instructions.
// kRecipe: nowhere, but they can be made again (flag_recipe.h); never so at an exit.
enum class FlagsAt : uint8_t { kHost, kBoth, kMemory, kRecipe };

// A guest page that code was translated from, as it was mapped: code depends on its linear address
// and on the host memory behind it.
struct CodePage {
    uint64_t linear = 0;  // page
    uintptr_t host = 0;   // page
    uint64_t watched = 0;  // number in WriteWatch
    std::vector<uint32_t> blocks;
    uint64_t lines = 0;  // of 64 bytes, that hold code of blocks; or held, until one is forgotten
    bool is_watched = false;
    unsigned writes = 0;  // to the page, since it was watched
};

inline constexpr unsigned kMaxBlocks = 1u << 17;  // of a processor

// The lines of a page that bytes [begin, end) of it touch, as CodePage::lines has them.
inline uint64_t page_lines(unsigned begin, unsigned end) {
    const unsigned first = begin / 64, last = (end - 1) / 64;
    return ~uint64_t{0} >> (63 - (last - first)) << first;
}

// In Block::mode: the variant without shared checks.
inline constexpr unsigned kUngrouped = 1u << 15;

// Translated code of one run of guest instructions within a page.
struct Block {
    uint64_t rip = 0;
    uint32_t page = 0;    // id of its CodePage
    uint32_t second_page = 0;  // of a single instruction that reaches into the next page
    uint16_t offset = 0;  // of its first byte in the page
    uint16_t byte_count = 0;
    uint16_t instruction_count = 0;
    uint16_t mode = 0;
    bool valid = false;
    bool brief = false;    // see Translation
    bool wants_host_flags = false;  // starts with an instruction that reads them
    // A jump comes in where it fits what it knows: the flags are in the host's register; they are
    // in memory; or besides, nothing is known about the mapping of the page, nor was it looked
    // lately whether somebody wants attention.
    const std::byte* from_host_flags = nullptr;
    const std::byte* from_memory_flags = nullptr;
    const std::byte* guarded = nullptr;
    const std::byte* end = nullptr;  // of the code
    uint32_t incoming = 0;           // first of the exits linked to it, 0: none
    uint32_t next = 0;               // in its bucket
};

// A way out of a block. Emitted code calls the exit thunk with the number of its site.
struct ExitSite {
    enum class Kind : uint8_t {
        kNone,
        kDirect,     // to `target`; the jump at `patch` can be linked to the block there
        kIndirect,   // to the address in HostFrame::exit_value
        kGuard,      // the block's guard failed: nothing was run
        kInterpret,  // the instruction at `target` cannot be translated
        kSlow,       // the instruction at RIP must be run by the interpreter this time
        kHandled,    // a handler was run and did more than complete the instruction
    };
    uint64_t target = 0;
    uint32_t stub = 0;   // offset in code memory of where the jump leads while it is not linked
    uint32_t patch = 0;  // and of the jump's displacement
    uint32_t block = 0;
    uint32_t linked = 0;         // block, 0: not linked
    uint32_t next_incoming = 0;  // of `linked`
    uint16_t count = 0;          // instructions of the block that were completed
    Kind kind = Kind::kNone;
    FlagsAt flags = FlagsAt::kMemory;
    bool guarded = false;    // enter at Block::guarded
    bool ungrouped = false;  // to the variant of the block without shared checks
};

// Before the call of a slow-path thunk in emitted code.
struct [[gnu::packed]] AccessSite {
    uint32_t block;
    uint16_t offset;  // of the guest instruction in the block
    uint16_t size;    // bytes accessed
    uint8_t kind : 2;  // AccessKind
    uint8_t alignment_shift : 6;
    uint8_t count;    // instructions of the block completed before it
    uint16_t x87;     // offset + 1 of the x87 instruction that FIP does not show yet, 0: none
    FlagRecipe recipe;  // of the flags, if they are not in memory
};
static_assert(sizeof(AccessSite) == 20);
inline constexpr int kCallLength = 5;

}  // namespace mynah::translator
