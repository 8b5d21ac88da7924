#pragma once

#include <cstdint>
#include <vector>

#include "silicon/aim.h"

namespace mynah::silicon {

// A unit whose last instruction is modified while the block runs.
struct Patchable {
    enum class Kind : uint8_t {
        kConstant,   // 81 /0: its 32-bit immediate
        kFiveBytes,  // all of an instruction of five bytes
        kDirection,  // inc becomes dec and the other way round
    };
    unsigned unit = 0;
    Kind kind = Kind::kConstant;
};

// What all parts of one block keep to.
struct BlockPlan {
    Surroundings surroundings;  // its pinned registers are bases of many accesses, and the stack
    std::vector<unsigned> anchors;  // the bases
    int counter = -1;           // register that counts loops down, or none
    int walking = -1;           // pinned register that is moved on a little, or none
    uint64_t loose_flags = 0;   // instructions may leave these undefined; nothing may look at them
    unsigned constants = 0;     // used of the scratch area's
    std::vector<Patchable> patchable;  // in blocks that modify themselves
    uint64_t patch_through = 0;        // code area at whose addresses they do
};

// Units [begin, end) are written in a row; unit `end` is the last of a function, or of the block.
struct Region {
    unsigned begin = 0, end = 0;
};

}  // namespace mynah::silicon
