#pragma once

// Segment descriptors, selectors, gates and task-state segments [SDM 3A 3.4, 5.8, 6.11, 7.2].

#include <cstdint>

namespace mynah::x86 {

// Encoding order of the segment registers in instructions.
enum class Segment : uint8_t { kEs, kCs, kSs, kDs, kFs, kGs };
inline constexpr unsigned kSegmentCount = 6;

namespace selector {
inline constexpr uint16_t kRpl = 3, kTi = 4, kIndex = 0xfff8;
}

// Attribute bits as in bits 55:40 of a descriptor moved down to bit 0 (bits 11:8, the limit's, are
// 0); kUnusable marks a register that was loaded with a null selector.
namespace segment_attribute {
inline constexpr uint32_t kType = 0xf, kAccessed = 1, kReadableOrWritable = 2,
                          kConformingOrExpandDown = 4, kCode = 8, kCodeOrData = 1u << 4,
                          kDpl = 3u << 5, kPresent = 1u << 7, kAvl = 1u << 12, kLong = 1u << 13,
                          kDefaultBig = 1u << 14, kGranularity = 1u << 15, kUnusable = 1u << 16;
inline constexpr unsigned kDplShift = 5;
}  // namespace segment_attribute

// Types of system descriptors (S = 0) [SDM 3A 3.5 table 3-2].
namespace system_type {
inline constexpr uint8_t kTss16Available = 1, kLdt = 2, kTss16Busy = 3, kCallGate16 = 4,
                         kTaskGate = 5, kInterruptGate16 = 6, kTrapGate16 = 7, kTss32Available = 9,
                         kTss32Busy = 11, kCallGate32 = 12, kInterruptGate32 = 14, kTrapGate32 = 15;
}

}  // namespace mynah::x86
