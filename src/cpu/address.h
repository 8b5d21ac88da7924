#pragma once

#include <cstdint>

#include "base/strong.h"
#include "memory/address.h"

namespace mynah {

// An address before paging and after segmentation.
using GuestLinear = Strong<struct GuestLinearTag, uint64_t>;
using IoPort = Strong<struct IoPortTag, uint16_t>;
// Number of a virtual processor, from 0.
using VcpuIndex = Strong<struct VcpuIndexTag, uint32_t>;

}  // namespace mynah
