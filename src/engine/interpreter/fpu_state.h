#pragma once

// What the files about x87, SSE and AVX state share.

#include <cstdint>
#include <span>

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
// Changes FSW, and keeps every value in its physical register when TOP changes.
void set_status_word(X87State& x87, uint16_t fsw);
// FNINIT [SDM 2A]: control registers only; the values stay.
void initialise_x87(X87State& x87);

// The 416 bytes of the FXSAVE image [SDM 1 10.5.1] in parts. `wide`: 64-bit pointers (REX.W).
inline constexpr unsigned kFxsaveX87Bytes = 160, kFxsaveMxcsr = 24, kFxsaveXmm = 160;
void x87_to_image(const X87State& x87, std::span<std::byte, kFxsaveX87Bytes> image, bool wide);
void x87_from_image(X87State& x87, std::span<const std::byte, kFxsaveX87Bytes> image, bool wide);

// The parts of add_fpu_state that have files of their own: FNSTENV, FNSAVE and their kin; FXSAVE and
// the XSAVE family.
void add_x87_environment(BuilderTable& table);
void add_extended_state(BuilderTable& table);

}  // namespace mynah::interpreter
