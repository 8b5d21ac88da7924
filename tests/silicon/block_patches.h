#pragma once

#include "silicon/block.h"
#include "silicon/block_code.h"
#include "silicon/block_plan.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Makes units for blocks that modify themselves: some whose last instruction may be changed, and
// others that change it, in front of or behind themselves, at the address the code runs at or at
// another of the same memory.
class BlockPatches {
 public:
    BlockPatches(Random& random, const BlockPlan& plan, Block& block)
        : random_(random), plan_(plan), block_(block), code_(block.mode) {}

    Unit patchable(const Patchable& which);
    Unit patch();

 private:
    Step field(std::initializer_list<unsigned> opcode, const Patchable& which, unsigned into,
               uint32_t immediate, unsigned immediate_bytes) const;
    std::array<uint8_t, 5> five_bytes();
    Unit patch_constant(const Patchable& which);
    Unit patch_instruction(const Patchable& which);
    bool pinned(unsigned reg) const { return (plan_.surroundings.pinned >> reg & 1) != 0; }

    Random& random_;
    const BlockPlan& plan_;
    Block& block_;
    BlockCode code_;
};

}  // namespace mynah::silicon
