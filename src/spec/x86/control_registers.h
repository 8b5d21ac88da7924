#pragma once

// Bits of RFLAGS, CR0, CR4, EFER and the debug registers [SDM 3A 2.3, 2.5, 2.2.1; 3B 17.2].

#include <cstdint>

namespace mynah::x86 {

namespace rflags {
inline constexpr uint64_t kCf = 1u << 0, kOne = 1u << 1, kPf = 1u << 2, kAf = 1u << 4,
                          kZf = 1u << 6, kSf = 1u << 7, kTf = 1u << 8, kIf = 1u << 9,
                          kDf = 1u << 10, kOf = 1u << 11, kIopl = 3u << 12, kNt = 1u << 14,
                          kRf = 1u << 16, kVm = 1u << 17, kAc = 1u << 18, kVif = 1u << 19,
                          kVip = 1u << 20, kId = 1u << 21;
inline constexpr uint64_t kArithmetic = kCf | kPf | kAf | kZf | kSf | kOf;
inline constexpr unsigned kIoplShift = 12;
}  // namespace rflags

namespace cr0 {
inline constexpr uint64_t kPe = 1u << 0, kMp = 1u << 1, kEm = 1u << 2, kTs = 1u << 3, kEt = 1u << 4,
                          kNe = 1u << 5, kWp = 1u << 16, kAm = 1u << 18, kNw = 1u << 29,
                          kCd = 1u << 30, kPg = 1u << 31;
}  // namespace cr0

namespace cr4 {
inline constexpr uint64_t kVme = 1u << 0, kPvi = 1u << 1, kTsd = 1u << 2, kDe = 1u << 3,
                          kPse = 1u << 4, kPae = 1u << 5, kMce = 1u << 6, kPge = 1u << 7,
                          kPce = 1u << 8, kOsfxsr = 1u << 9, kOsxmmexcpt = 1u << 10,
                          kUmip = 1u << 11, kLa57 = 1u << 12, kVmxe = 1u << 13, kSmxe = 1u << 14,
                          kFsgsbase = 1u << 16, kPcide = 1u << 17, kOsxsave = 1u << 18,
                          kSmep = 1u << 20, kSmap = 1u << 21, kPke = 1u << 22;
}  // namespace cr4

namespace efer {
inline constexpr uint64_t kSce = 1u << 0, kLme = 1u << 8, kLma = 1u << 10, kNxe = 1u << 11;
}  // namespace efer

namespace dr6 {
inline constexpr uint64_t kB0 = 1u << 0, kBd = 1u << 13, kBs = 1u << 14, kBt = 1u << 15;
inline constexpr uint64_t kReset = 0xffff0ff0, kWritable = 0xe00f;
}  // namespace dr6

namespace dr7 {
inline constexpr uint64_t kEnables = 0xff, kGd = 1u << 13, kReset = 0x400;
}  // namespace dr7

}  // namespace mynah::x86
