#pragma once

// Entries of the paging structures [SDM 3A 4.3 to 4.5].

#include <cstdint>

namespace mynah::x86::page_entry {

inline constexpr uint64_t kPresent = 1u << 0, kWritable = 1u << 1, kUser = 1u << 2,
                          kAccessed = 1u << 5, kDirty = 1u << 6, kLarge = 1u << 7,
                          kGlobal = 1u << 8, kNoExecute = uint64_t{1} << 63;

// A page-directory-pointer register of PAE paging: what must be zero besides bits above
// MAXPHYADDR [SDM 3A 4.4.1 table 4-8].
inline constexpr uint64_t kPdpteReserved = 0x1e6;

}  // namespace mynah::x86::page_entry
