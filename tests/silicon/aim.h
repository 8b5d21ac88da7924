#pragma once

#include "silicon/case.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Sets registers, displacements and memory of a case so that its memory operands, implicit ones
// included, are in the test area (or, now and then, deliberately beside it), and that counts,
// selectors and the like are what makes the instruction do something. False if the case could touch
// memory that is not the test's.
bool aim(Random& random, Case& out);

}  // namespace mynah::silicon
