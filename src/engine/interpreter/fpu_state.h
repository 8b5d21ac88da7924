#pragma once

// What the files about x87, SSE and AVX state share.

#include <cstdint>

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"

namespace mynah::interpreter {

inline constexpr uint16_t kX87ErrorSummary = 0x80, kX87Busy = 0x8000, kX87Exceptions = 0x3f;

// Recomputes FSW.ES and B from the exception flags and masks, as every load of FSW or FCW does.
inline void update_error_summary(X87State& x87) {
    const bool pending = (x87.fsw & ~x87.fcw & kX87Exceptions) != 0;
    x87.fsw &= static_cast<uint16_t>(~(kX87ErrorSummary | kX87Busy));
    if (pending) x87.fsw |= kX87ErrorSummary | kX87Busy;
}
// FNINIT [SDM 2A]: control registers only; the values stay.
inline void initialise_x87(X87State& x87) {
    x87.fcw = 0x37f;
    x87.fsw = x87.fop = 0;
    x87.tags = 0;
    x87.fip = x87.fdp = 0;
}

// The parts of add_fpu_state that have files of their own: FNSTENV, FNSAVE and their kin; FXSAVE
// and the XSAVE family.
void add_x87_environment(BuilderTable& table);
void add_extended_state(BuilderTable& table);

}  // namespace mynah::interpreter
