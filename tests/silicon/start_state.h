#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "silicon/case.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Parts of the state that a case starts from.
uint64_t random_flags(Random& random);
void random_x87(Random& random, std::span<std::byte, kXsaveBytes> area);
void random_vectors(Random& random, std::span<std::byte, kXsaveBytes> area);

// What FLDENV, FRSTOR, FXRSTOR and XRSTOR may find in memory: an image of some state, now and then
// with a reserved bit set.
std::vector<std::byte> random_state_image(Random& random, const Registers& like);

}  // namespace mynah::silicon
