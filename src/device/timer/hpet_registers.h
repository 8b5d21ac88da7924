#pragma once

#include <cstdint>

// Registers of the high precision event timers [HPET 2.3], as the ICH9 has them [ICH9 20].
namespace mynah::hpet {

inline constexpr uint64_t kWindowBytes = 0x400;
inline constexpr unsigned kCapabilities = 0x000, kConfiguration = 0x010, kInterruptStatus = 0x020,
                          kCounter = 0x0f0, kTimers = 0x100;
inline constexpr unsigned kTimerStride = 0x20, kTimerConfiguration = 0x00, kTimerComparator = 0x08;

inline constexpr unsigned kTimerCount = 3;
inline constexpr uint64_t kHz = 14'318'180;
inline constexpr uint64_t kPeriodFs = 69'841'279;
inline constexpr uint64_t kCapabilitiesValue =
    kPeriodFs << 32 | 0x8086u << 16 | 1u << 15 /* legacy replacement */ | 1u << 13 /* 64 bits */ |
    (kTimerCount - 1) << 8 | 0x01 /* revision */;

namespace configuration {
inline constexpr uint64_t kEnable = 1u << 0, kLegacyReplacement = 1u << 1;
}
namespace timer {  // [HPET 2.3.8]
inline constexpr uint64_t kLevel = 1u << 1, kEnable = 1u << 2, kPeriodic = 1u << 3,
                          kPeriodicCapable = 1u << 4, k64BitCapable = 1u << 5, kSetValue = 1u << 6,
                          k32Bit = 1u << 8, kRoute = 0x1fu << 9;
inline constexpr unsigned kRouteShift = 9, kRouteCapableShift = 32;
inline constexpr uint64_t kWritable = kLevel | kEnable | kPeriodic | kSetValue | k32Bit | kRoute;
// Pins of the I/O APIC that a timer can use: 20 to 23.
inline constexpr unsigned kFirstGsi = 20, kGsis = 4;
inline constexpr uint64_t kRoutes = uint64_t{0x00f00000} << kRouteCapableShift;
}  // namespace timer

}  // namespace mynah::hpet
