#pragma once

// Model-specific registers by number [SDM 4].

#include <cstdint>

namespace mynah::x86::msr {

inline constexpr uint32_t kTsc = 0x10, kPlatformId = 0x17, kApicBase = 0x1b, kFeatureControl = 0x3a,
                          kTscAdjust = 0x3b, kSpecCtrl = 0x48, kPredCmd = 0x49,
                          kBiosUpdateTrigger = 0x79, kBiosSignature = 0x8b, kPlatformInfo = 0xce,
                          kMtrrCap = 0xfe, kArchCapabilities = 0x10a, kSysenterCs = 0x174,
                          kSysenterEsp = 0x175, kSysenterEip = 0x176, kMcgCap = 0x179,
                          kMcgStatus = 0x17a, kPerfStatus = 0x198, kPerfControl = 0x199,
                          kDebugControl = 0x1d9, kMiscEnable = 0x1a0, kMtrrPhysBase0 = 0x200,
                          kMtrrFix64k = 0x250, kMtrrFix16k0 = 0x258, kMtrrFix16k1 = 0x259,
                          kMtrrFix4k0 = 0x268, kPat = 0x277, kMtrrDefType = 0x2ff, kMc0Ctl = 0x400,
                          kTscDeadline = 0x6e0, kX2ApicFirst = 0x800, kX2ApicLast = 0x8ff,
                          kXss = 0xda0, kEfer = 0xc0000080, kStar = 0xc0000081, kLstar = 0xc0000082,
                          kCstar = 0xc0000083, kFmask = 0xc0000084, kFsBase = 0xc0000100,
                          kGsBase = 0xc0000101, kKernelGsBase = 0xc0000102, kTscAux = 0xc0000103;

// IA32_ARCH_CAPABILITIES: what the processor is not affected by [SDM 4 table 2-2].
namespace arch_capabilities {
inline constexpr uint64_t kRdclNo = 1u << 0, kIbrsAll = 1u << 1, kSkipL1dflVmentry = 1u << 3,
                          kSsbNo = 1u << 4, kMdsNo = 1u << 5, kIfPschangeMcNo = 1u << 6,
                          kTaaNo = 1u << 8, kSbdrSsdpNo = 1u << 13, kFbsdpNo = 1u << 14,
                          kPsdpNo = 1u << 15, kBhiNo = 1u << 20, kPbrsbNo = 1u << 24,
                          kGdsNo = 1u << 26, kRfdsNo = 1u << 27, kItsNo = uint64_t{1} << 62;
}  // namespace arch_capabilities

// IA32_APIC_BASE [SDM 3A 10.4.4, 10.12.1].
inline constexpr uint64_t kApicBaseBsp = 1u << 8, kApicBaseExtd = 1u << 10,
                          kApicBaseEnable = 1u << 11;

}  // namespace mynah::x86::msr
