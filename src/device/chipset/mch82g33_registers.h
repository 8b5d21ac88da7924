#pragma once

#include <cstdint>

// Configuration registers of the 82G33/Q35 memory controller hub's host bridge [3SERIES 5.1].
namespace mynah::mch {

inline constexpr uint16_t kVendor = 0x8086, kDevice = 0x29c0;
inline constexpr uint8_t kRevision = 0x02;
inline constexpr uint32_t kClass = 0x060000;  // host bridge

inline constexpr unsigned kPciExpressBar = 0x60, kPam0 = 0x90, kSmram = 0x9d, kExtendedSmram = 0x9e,
                          kTopOfMemory = 0xa0, kTopOfUpperMemory = 0xa2, kGraphicsBase = 0xa4,
                          kGttBase = 0xa8, kTsegBase = 0xac, kTopOfLowMemory = 0xb0;
inline constexpr unsigned kPams = 7;
inline constexpr uint32_t kBaseWritable = 0xfff00000;  // kGraphicsBase, kGttBase, kTsegBase
inline constexpr uint32_t kTopOfLowMemoryWritable = 0xfff0;

namespace pciexbar {  // [3SERIES 5.1.13]
inline constexpr uint64_t kEnable = 1u << 0;
inline constexpr unsigned kLengthShift = 1;
inline constexpr uint64_t kLength = 3u << kLengthShift;  // 0: 256 MiB, 1: 128 MiB, 2: 64 MiB
inline constexpr uint64_t kBase = 0xffc000000;           // bits 35 to 26
}  // namespace pciexbar

namespace pam {  // one nibble for each segment [3SERIES 5.1.15]
inline constexpr uint8_t kReadEnable = 1, kWriteEnable = 2, kWritable = 0x33;
// Segment 0 is F0000h to FFFFFh in the high nibble of PAM0; segments 1 to 12 are 16 KiB each from
// C0000h on, low nibble first.
inline constexpr unsigned kSegments = 13;
}  // namespace pam

namespace smram {  // [3SERIES 5.1.22]
inline constexpr uint8_t kOpen = 1u << 6, kClosed = 1u << 5, kLock = 1u << 4, kEnable = 1u << 3,
                         kBaseSegment = 2, kReset = kBaseSegment;
inline constexpr uint8_t kWritable = kOpen | kClosed | kLock | kEnable;
inline constexpr uint64_t kStart = 0xa0000, kSize = 0x20000;
}  // namespace smram

namespace extended_smram {  // [3SERIES 5.1.23]
inline constexpr uint8_t kHighEnable = 1u << 7, kError = 1u << 6, kCaches = 7u << 3,
                         kTsegSize = 3u << 1, kTsegEnable = 1u << 0, kReset = kCaches;
inline constexpr uint8_t kWritable = kHighEnable | kTsegSize | kTsegEnable;
inline constexpr unsigned kTsegSizeShift = 1;
}  // namespace extended_smram

// Not Intel's: how much TSEG the machine can have beyond 8 MiB, in MiB; firmware asks by writing
// ones. All ones read back mean that there is no such thing [OVMF Q35MchIch9.h].
inline constexpr unsigned kExtendedTsegMib = 0x50;
inline constexpr uint16_t kExtendedTsegAsk = 0xffff;
inline constexpr uint16_t kExtendedTsegSize = 16;

}  // namespace mynah::mch
