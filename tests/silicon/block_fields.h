#pragma once

#include "silicon/block.h"
#include "silicon/block_code.h"
#include "silicon/block_plan.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Makes units that access several fields off one base register, as code does with structures:
// loads, stores and both at once, of every width, near each other or in two pages; the base is
// moved on in between now and then.
class BlockFields {
 public:
    BlockFields(Random& random, const BlockPlan& plan, Block& block)
        : random_(random), plan_(plan), block_(block), code_(block.mode) {}

    bool possible() const { return !plan_.anchors.empty(); }
    Unit make();

 private:
    Step field_access(unsigned base, int32_t displacement);
    int32_t displacement();
    unsigned register_for(bool byte);

    Random& random_;
    const BlockPlan& plan_;
    Block& block_;
    BlockCode code_;
};

}  // namespace mynah::silicon
