#pragma once

#include "silicon/case.h"
#include "silicon/forms.h"

namespace mynah::silicon {

// The engines imitate Intel's processors. Where AMD's do something else and neither is wrong, a
// host of that make is not asked. Found by comparison with Zen 5 and by its manuals [APM].

bool host_is_amd();

// Why such a host does something else with this form, always or too often; or null.
const char* differs_on_amd(const Form& form);

// Likewise of an instruction of such a form.
bool differs_on_amd(const Instruction& instruction);

// Whether such a host did with this instruction, at which it ended, what Intel's would not do.
bool amd_went_its_own_way(const Instruction& instruction, const Ending& host);

// Whether the host stores the x87 pointers when no exception is pending.
bool host_stores_x87_pointers();

}  // namespace mynah::silicon
