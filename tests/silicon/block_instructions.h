#pragma once

#include "silicon/block.h"
#include "silicon/block_code.h"
#include "silicon/block_plan.h"
#include "silicon/form_choice.h"

namespace mynah::silicon {

// Makes units around one instruction of any form: loads what it addresses memory with, and repairs
// afterwards what the rest of the block relies on.
class BlockInstructions {
 public:
    BlockInstructions(const FormChoice& choice, Random& random, BlockPlan& plan, Block& block)
        : choice_(choice), random_(random), plan_(plan), block_(block), code_(block.mode) {}

    Unit make();

 private:
    bool attempt(Unit& unit);
    bool aimed();
    uint32_t registers_written() const;
    uint32_t registers_needed();
    bool moves_stack() const;
    bool copies_between_aliases() const;
    bool reload(Unit& unit);
    void reload_indices(Unit& unit);
    void instruction(Unit& unit);
    void define_flags(Unit& unit);
    bool looks_at_loose_flags() const;
    void note_pages();
    Unit walk();
    Unit flags_from_stack();

    const FormChoice& choice_;
    Random& random_;
    BlockPlan& plan_;
    Block& block_;
    BlockCode code_;
    Case test_;
};

}  // namespace mynah::silicon
