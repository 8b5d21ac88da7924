#pragma once

#include "memory/guest_memory.h"

namespace mynah {

// What PC firmware leaves at 400h and kernels look at to find the extended BIOS data area and the
// size of conventional memory [RBIL MEM 40:0Eh, 40:13h]. False: no RAM there.
[[nodiscard]] bool write_bios_data_area(GuestMemory& memory);

}  // namespace mynah
