#pragma once

#include "silicon/case.h"
#include "silicon/random.h"

namespace mynah::silicon {

// What an instruction inside a block finds settled already.
struct Surroundings {
    uint16_t pinned = 0;       // general registers that keep the values they have in the case
    uint64_t alias = 0;        // which copy of the data area addresses go to
    bool gentle = false;       // few accesses beside what is mapped
};

// Sets registers, displacements and memory of a case so that its memory operands, implicit ones
// included, are in the test area (or, now and then, deliberately beside it), and that counts,
// selectors and the like are what makes the instruction do something. False if the case could touch
// memory that is not the test's.
bool aim(Random& random, Case& out, const Surroundings& surroundings = {});

}  // namespace mynah::silicon
