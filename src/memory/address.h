#pragma once

#include <cstdint>

#include "base/strong.h"

namespace mynah {

// An address on the guest's physical bus, in bytes.
using GuestPhys = Strong<struct GuestPhysTag, uint64_t>;

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kPageMask = kPageSize - 1;

}  // namespace mynah
