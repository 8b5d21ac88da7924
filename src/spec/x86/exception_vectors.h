#pragma once

#include <cstdint>

namespace mynah::x86 {

// Exception vectors [SDM 3A 6.15].
enum class Vector : uint8_t {
    kDe = 0, kDb = 1, kNmi = 2, kBp = 3, kOf = 4, kBr = 5, kUd = 6, kNm = 7, kDf = 8, kTs = 10,
    kNp = 11, kSs = 12, kGp = 13, kPf = 14, kMf = 16, kAc = 17, kMc = 18, kXm = 19,
};

// Error code of #PF [SDM 3A 4.7].
namespace page_fault {
inline constexpr uint32_t kPresent = 1u << 0, kWrite = 1u << 1, kUser = 1u << 2, kReserved = 1u << 3,
                          kFetch = 1u << 4;
}

}  // namespace mynah::x86
