#pragma once

#include <cstdint>

#include "silicon/aim.h"

namespace mynah::silicon {

// What all parts of one block keep to.
struct BlockPlan {
    Surroundings surroundings;  // its pinned registers are bases of many accesses, and the stack
    int counter = -1;           // register that counts loops down, or none
    int walking = -1;           // pinned register that is moved on a little, or none
    uint64_t loose_flags = 0;   // instructions may leave these undefined; nothing may look at them
    unsigned constants = 0;     // used of the scratch area's
};

// Units [begin, end) are written in a row; unit `end` is the last of a function, or of the block.
struct Region {
    unsigned begin = 0, end = 0;
};

}  // namespace mynah::silicon
