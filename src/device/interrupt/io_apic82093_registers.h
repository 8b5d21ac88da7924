#pragma once

#include <cstdint>

// Registers of the 82093AA [82093AA 3], the EOI register of later parts [ICH10 13.5.7].
namespace mynah::io_apic {

// In the memory window.
inline constexpr uint32_t kSelect = 0x00, kData = 0x10, kEoi = 0x40;
// Behind select and data.
inline constexpr uint8_t kId = 0x00, kVersion = 0x01, kArbitration = 0x02, kRedirection = 0x10;

inline constexpr uint32_t kVersionNumber = 0x20;  // from here on there is an EOI register
inline constexpr unsigned kIdShift = 24;
inline constexpr uint8_t kIdMask = 0x0f;

namespace entry {  // [82093AA 3.2.4]
inline constexpr uint64_t kVector = 0xff, kDelivery = 7u << 8, kLogical = 1u << 11,
                          kStatus = 1u << 12, kActiveLow = 1u << 13, kRemoteIrr = 1u << 14,
                          kLevel = 1u << 15, kMasked = 1u << 16;
inline constexpr unsigned kDeliveryShift = 8, kDestinationShift = 56;
inline constexpr uint64_t kDestination = uint64_t{0xff} << kDestinationShift;
inline constexpr uint64_t kWritable =
    kVector | kDelivery | kLogical | kActiveLow | kLevel | kMasked | kDestination;
inline constexpr uint64_t kReset = kMasked;
}  // namespace entry

}  // namespace mynah::io_apic
