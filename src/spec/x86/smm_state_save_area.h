#pragma once

#include <cstdint>

// The SMM state-save area of processors with long mode, by offsets from SMBASE
// [AMD APM2 10.2.3, table 10-1]. It is the layout that firmware for virtual machines expects.

namespace mynah::x86::smm {

inline constexpr uint32_t kEntryOffset = 0x8000;
inline constexpr uint32_t kAreaStart = 0xfe00, kAreaSize = 0x200;

// Segments in the order ES CS SS DS FS GS, then GDTR LDTR IDTR TR: 16 bytes each.
inline constexpr uint32_t kSegments = 0xfe00, kGdtr = 0xfe60, kLdtr = 0xfe70, kIdtr = 0xfe80,
                          kTr = 0xfe90;
inline constexpr uint32_t kSelector = 0, kAttributes = 2, kLimit = 4, kBase = 8;

inline constexpr uint32_t kIoRestart = 0xfec8, kHaltRestart = 0xfec9;  // bytes
inline constexpr uint32_t kEfer = 0xfed0;
inline constexpr uint32_t kRevision = 0xfefc, kSmbase = 0xff00;  // 32 bits
inline constexpr uint32_t kCr4 = 0xff48, kCr3 = 0xff50, kCr0 = 0xff58, kDr7 = 0xff60,
                          kDr6 = 0xff68, kRflags = 0xff70, kRip = 0xff78;
inline constexpr uint32_t kRax = 0xfff8;  // the others below it, in the order of their numbers

inline constexpr uint32_t kRevision64 = 0x00020064;  // SMBASE may be relocated
inline constexpr uint16_t kAttributeBits = 0xf0ff;

}  // namespace mynah::x86::smm
