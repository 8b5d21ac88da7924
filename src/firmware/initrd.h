#pragma once

#include "base/result.h"
#include "firmware/boot_files.h"
#include "memory/guest_memory.h"

namespace mynah {

// Where an initrd ended up; size 0: there is none.
struct LoadedInitrd {
    GuestPhys address{0};
    uint64_t size = 0;
};

// Copies the initrd as high as it may be: page-aligned, in the RAM that holds `kernel_end`, not
// below that and not reaching beyond `last_byte`. Error: empty, or does not fit.
Result<LoadedInitrd> load_initrd(GuestMemory& memory, const std::optional<BootFile>& initrd,
                                 GuestPhys kernel_end, GuestPhys last_byte);

}  // namespace mynah
