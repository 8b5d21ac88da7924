#pragma once

#include <string>
#include <vector>

#include "silicon/case.h"

namespace mynah::silicon {

// RFLAGS bits that the manual leaves undefined after this instruction.
uint64_t undefined_flags(const Instruction& instruction);

// What two endings are of.
struct Subject {
    CodeSize mode = CodeSize::k64;
    const Instruction* last = nullptr;  // what the host stands at or has just run, if known
    uint64_t undefined_flags = 0;       // these are not compared
    bool stepped = false;               // the host was single-stepped
};

// Where two endings differ, one line each: "what: host value, guest value". `host` and `guest` are
// normalised in place.
std::vector<std::string> differences(const Subject& subject, Ending& host, Ending& guest);

}  // namespace mynah::silicon
