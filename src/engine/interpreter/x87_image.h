#pragma once

#include <cstddef>
#include <span>

#include "cpu/cpu_state.h"

namespace mynah::interpreter {

// The x87 part of the FXSAVE image [SDM 1 10.5.1] and where the parts behind it begin.
inline constexpr unsigned kFxsaveX87Bytes = 160, kFxsaveMxcsr = 24, kFxsaveXmm = 160,
                          kFxsaveBytes = 512;

// `wide`: 64-bit pointers (REX.W). All of the part is written but MXCSR and its mask.
void x87_to_image(const X87State& x87, std::span<std::byte, kFxsaveX87Bytes> image, bool wide);
// FSW.ES and B follow from the flags and masks, whatever the image says.
void x87_from_image(X87State& x87, std::span<const std::byte, kFxsaveX87Bytes> image, bool wide);

}  // namespace mynah::interpreter
