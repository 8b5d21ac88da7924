#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "engine/translator/block.h"
#include "engine/translator/frame.h"
#include "engine/translator/thunks.h"

namespace mynah::translator {

struct GuestInstruction;

// Where in a block the host code of each guest instruction is; noted while it is emitted, if
// somebody wants to show it.
struct BlockTrace {
    struct Step {
        uint32_t host;  // where its code begins, from the block's first byte
        uint32_t cold;  // how many cold parts there were before it
        FlagsAt flags;  // where the flags are before it
    };
    struct Cold {
        uint32_t host;
        bool has_access_site;  // begins with an AccessSite
    };
    const std::byte* begin = nullptr;  // of the block's code
    std::vector<Step> steps;           // one behind the last instruction as well
    std::vector<Cold> cold;
};

// What a block is shown from. The code is read where it is executed, as it is now.
struct BlockView {
    const Block& block;
    std::string mode;  // what it takes for granted
    const BlockTrace& trace;
    std::span<const GuestInstruction> guest;
    const std::deque<ExitSite>& sites;
    const Thunks& thunks;
    const Offsets& offsets;
};

// The guest's code, what the translator knows of it, and the host's, as lines of text.
std::string describe_block(const BlockView& view);

}  // namespace mynah::translator
