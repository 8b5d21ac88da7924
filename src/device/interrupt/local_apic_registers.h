#pragma once

#include <cstdint>

// Registers of the local APIC in the manual's order [SDM 3A table 10-1]. Numbers are those of
// x2APIC MSRs less 800h; the MMIO offset is sixteen times as much.
namespace mynah::apic {

enum class Register : uint8_t {
    kId = 0x02,
    kVersion = 0x03,
    kTpr = 0x08,
    kApr = 0x09,  // xAPIC only
    kPpr = 0x0a,
    kEoi = 0x0b,
    kRrd = 0x0c,  // xAPIC only
    kLdr = 0x0d,
    kDfr = 0x0e,  // xAPIC only
    kSvr = 0x0f,
    kIsr0 = 0x10,
    kTmr0 = 0x18,
    kIrr0 = 0x20,
    kEsr = 0x28,
    kLvtCmci = 0x2f,  // absent here
    kIcrLow = 0x30,   // all 64 bits in x2APIC mode
    kIcrHigh = 0x31,  // xAPIC only
    kLvtTimer = 0x32,
    kLvtThermal = 0x33,
    kLvtPerformance = 0x34,
    kLvtLint0 = 0x35,
    kLvtLint1 = 0x36,
    kLvtError = 0x37,
    kInitialCount = 0x38,
    kCurrentCount = 0x39,
    kDivide = 0x3e,
    kSelfIpi = 0x3f,  // x2APIC only
};

inline constexpr unsigned kLvtCount = 6;  // timer to error

// Version register [SDM 3A 10.4.8]: integrated APIC, highest LVT entry, EOI broadcast suppression.
inline constexpr uint32_t kVersion = 0x14 | (kLvtCount - 1) << 16 | 1u << 24;

namespace lvt {  // [SDM 3A 10.5.1]
inline constexpr uint32_t kVector = 0xff, kDelivery = 7u << 8, kPending = 1u << 12,
                          kActiveLow = 1u << 13, kRemoteIrr = 1u << 14, kLevel = 1u << 15,
                          kMasked = 1u << 16, kTimerMode = 3u << 17;
inline constexpr unsigned kDeliveryShift = 8, kTimerModeShift = 17;
// What software can write, per entry from the timer's on.
inline constexpr uint32_t kWritable[kLvtCount] = {
    kVector | kMasked | kTimerMode,
    kVector | kDelivery | kMasked,
    kVector | kDelivery | kMasked,
    kVector | kDelivery | kActiveLow | kLevel | kMasked,
    kVector | kDelivery | kActiveLow | kLevel | kMasked,
    kVector | kMasked,
};
}  // namespace lvt

namespace svr {  // [SDM 3A 10.9]
inline constexpr uint32_t kVector = 0xff, kEnabled = 1u << 8, kFocusDisabled = 1u << 9,
                          kSuppressEoiBroadcast = 1u << 12;
inline constexpr uint32_t kWritable = kVector | kEnabled | kFocusDisabled | kSuppressEoiBroadcast;
inline constexpr uint32_t kReset = 0xff;
}  // namespace svr

namespace esr {  // [SDM 3A 10.5.3]
inline constexpr uint32_t kSendIllegalVector = 1u << 5, kReceiveIllegalVector = 1u << 6,
                          kIllegalRegister = 1u << 7;
}  // namespace esr

namespace icr {  // [SDM 3A 10.6.1, 10.12.9]
inline constexpr uint64_t kVector = 0xff, kDelivery = 7u << 8, kLogical = 1u << 11,
                          kStatus = 1u << 12, kAssert = 1u << 14, kLevel = 1u << 15;
inline constexpr unsigned kDeliveryShift = 8, kShorthandShift = 18, kXapicDestinationShift = 56,
                          kX2apicDestinationShift = 32;
enum class Shorthand : uint8_t { kNone, kSelf, kAll, kAllButSelf };
// Everything that is not reserved.
inline constexpr uint32_t kLowWritable = 0xff | kDelivery | kLogical | kAssert | kLevel | 3u << 18;
}  // namespace icr

inline constexpr uint64_t kDefaultBase = 0xfee00000;
inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint32_t kDfrFlat = 0xffffffff, kDfrReserved = 0x0fffffff;

}  // namespace mynah::apic
