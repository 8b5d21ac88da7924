#pragma once

#include "silicon/case.h"
#include "silicon/forms.h"
#include "silicon/random.h"

namespace mynah::silicon {

// GS base of every case in 64-bit code.
inline constexpr uint64_t kGsBase = 0x1000;

// Makes case `number` of a form: encodes it with random registers, addresses and immediates, and
// gives it registers and memory to work on. The addresses it can touch lie in the test area or
// where the host has nothing mapped. False if this attempt made none (another number may).
bool generate(const Form& form, uint64_t seed, uint64_t number, Case& out);

}  // namespace mynah::silicon
