#include "firmware/bios_data_area.h"

#include "firmware/low_memory.h"

namespace mynah {

bool write_bios_data_area(GuestMemory& memory) {
    constexpr GuestPhys kEbdaSegment{0x40e}, kBaseMemoryKib{0x413}, kEbdaSize{low_memory::kEbda};
    return memory.store(kEbdaSegment, static_cast<uint16_t>(low_memory::kEbda >> 4)) &&
           memory.store(kBaseMemoryKib, static_cast<uint16_t>(low_memory::kEbda >> 10)) &&
           memory.store(kEbdaSize, static_cast<uint16_t>(
                                       (low_memory::kVideo - low_memory::kEbda + 1023) >> 10));
}

}  // namespace mynah
