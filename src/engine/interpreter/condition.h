#pragma once

#include "cpu/cpu_state.h"

namespace mynah::interpreter {

// Whether condition `kCode` (the low four bits of the opcode: O NO B NB Z NZ BE NBE S NS P NP L
// NL LE NLE) holds in Flags::arithmetic [SDM 1 appendix B].
template <unsigned kCode>
bool holds(uint16_t flags) {
    const auto is = [flags](uint16_t mask) { return (flags & mask) != 0; };
    bool result = false;
    switch (kCode >> 1) {
        case 0: result = is(Flags::kOf); break;
        case 1: result = is(Flags::kCf); break;
        case 2: result = is(Flags::kZf); break;
        case 3: result = is(Flags::kCf | Flags::kZf); break;
        case 4: result = is(Flags::kSf); break;
        case 5: result = is(Flags::kPf); break;
        case 6: result = is(Flags::kSf) != is(Flags::kOf); break;
        case 7: result = is(Flags::kZf) || is(Flags::kSf) != is(Flags::kOf); break;
    }
    return result != ((kCode & 1) != 0);
}

}  // namespace mynah::interpreter
