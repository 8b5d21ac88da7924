#pragma once

#include <vector>

#include "silicon/block.h"
#include "silicon/block_code.h"
#include "silicon/block_plan.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Makes units that branch. Branches back are taken only while there is fuel (a count in the scratch
// area, or in the plan's register) so that every block ends; calls are to later functions only.
class BlockBranches {
 public:
    BlockBranches(Random& random, const BlockPlan& plan, Block& block)
        : random_(random), plan_(plan), block_(block), code_(block.mode) {}

    // Unit number `at` of a region.
    Unit make(const Region& region, unsigned at, const std::vector<unsigned>& callable);
    Unit end() const;           // of the block
    Unit function_end() const;  // of a function

 private:
    // A branch to a unit, taken or not as flags and RCX will have it, or always.
    void branch(Unit& unit, unsigned target);
    void conditional(Unit& unit, unsigned target);
    void indirect(Unit& unit, bool call, unsigned target);
    Unit forward(const Region& region, unsigned at);
    Unit backward(const Region& region, unsigned at);
    Unit counted(const Region& region, unsigned at);
    Unit call(const std::vector<unsigned>& callable);
    Unit return_elsewhere(const Region& region, unsigned at);
    Unit where_am_i(unsigned at);
    unsigned free_register(bool index);
    void define_flags(Unit& unit, uint64_t looked_at);

    Random& random_;
    const BlockPlan& plan_;
    Block& block_;
    BlockCode code_;
};

}  // namespace mynah::silicon
