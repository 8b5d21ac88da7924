#include "machine/boards/micro_layout.h"

#include <algorithm>

namespace mynah::micro {

std::vector<GuestMemory::Range> ram_ranges(uint64_t memory_bytes) {
    const uint64_t low = std::min(memory_bytes, kMmioHole);
    std::vector<GuestMemory::Range> ranges{
        {GuestPhys(0), kVideoHole},
        {GuestPhys(kVideoHoleEnd), low - kVideoHoleEnd},
    };
    if (memory_bytes > low) ranges.push_back({GuestPhys(kMmioHoleEnd), memory_bytes - low});
    return ranges;
}

}  // namespace mynah::micro
