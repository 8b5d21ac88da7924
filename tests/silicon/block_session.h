#pragma once

#include <vector>

#include "silicon/forms.h"
#include "silicon/options.h"

namespace mynah::silicon {

// Runs random blocks until time or cases are used up, with faults injected if the options say so,
// and prints what differs and the totals. True if nothing did.
bool compare_blocks(const Options& options, const std::vector<Form>& forms, Runner& host,
                    std::vector<Guest>& guests);

}  // namespace mynah::silicon
