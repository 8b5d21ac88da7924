#pragma once

#include <vector>

#include "silicon/forms.h"
#include "silicon/options.h"

namespace mynah::silicon {

// Runs single instructions until time or cases are used up, and prints what differs and the totals.
// True if nothing did.
bool compare_instructions(const Options& options, const std::vector<Form>& forms, Runner& host,
                          std::vector<Guest>& guests);

std::string mnemonic_of(const Form& form);

}  // namespace mynah::silicon
