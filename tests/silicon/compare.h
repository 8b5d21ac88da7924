#pragma once

#include <string>
#include <vector>

#include "silicon/case.h"

namespace mynah::silicon {

// RFLAGS bits that the manual leaves undefined after this instruction.
uint64_t undefined_flags(const Case& test);

// Where two endings of one case differ, one line each: "what: host value, guest value". Undefined
// flags are not compared. `host` and `guest` are normalised in place.
std::vector<std::string> differences(const Case& test, Ending& host, Ending& guest);

}  // namespace mynah::silicon
