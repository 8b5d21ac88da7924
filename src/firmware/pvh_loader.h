#pragma once

#include "base/result.h"
#include "firmware/boot_files.h"
#include "firmware/elf_image.h"
#include "firmware/entry_point.h"
#include "memory/guest_memory.h"

namespace mynah {

// Loads an ELF kernel and what its PVH entry wants [PVH]: hvm_start_info, the module list with
// the initrd, and the memory map.
// Error: no PVH entry, or something does not fit.
Result<EntryPoint> load_pvh(GuestMemory& memory, const ElfImage& image, const KernelBoot& boot);

}  // namespace mynah
