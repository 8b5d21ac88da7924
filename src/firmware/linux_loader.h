#pragma once

#include "base/result.h"
#include "firmware/boot_files.h"
#include "firmware/entry_point.h"
#include "memory/guest_memory.h"

namespace mynah {

// Puts a kernel, its initrd, command line and boot tables into guest memory: a Linux bzImage by the
// 64-bit boot protocol (32-bit kernels by the 32-bit one), or an ELF vmlinux by its PVH entry.
// Everything loaded is written anew, so that the same call serves a reboot.
// Error: one line that names option and file and says what was expected.
Result<EntryPoint> load_kernel(GuestMemory& memory, const KernelBoot& boot);

}  // namespace mynah
