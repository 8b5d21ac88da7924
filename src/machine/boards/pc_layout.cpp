#include "machine/boards/pc_layout.h"

namespace mynah::pc {

std::vector<GuestMemory::Range> ram_ranges(uint64_t memory_bytes) {
    const uint64_t low = memory_bytes <= kLowMemoryLimit ? memory_bytes : kLowMemory;
    std::vector<GuestMemory::Range> ranges{{GuestPhys(0), low}};
    if (memory_bytes > low) ranges.push_back({GuestPhys(kFourGib), memory_bytes - low});
    return ranges;
}

}  // namespace mynah::pc
