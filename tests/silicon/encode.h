#pragma once

#include "silicon/case.h"
#include "silicon/forms.h"
#include "silicon/random.h"

namespace mynah::silicon {

// Encodes the form with everything that it leaves open chosen at random, and decodes it again.
// False if what came out is not the form after all.
bool encode(const Form& form, Random& random, Case& out);

}  // namespace mynah::silicon
