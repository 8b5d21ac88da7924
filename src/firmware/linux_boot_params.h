#pragma once

#include "base/result.h"
#include "firmware/boot_files.h"
#include "firmware/bzimage.h"
#include "firmware/initrd.h"
#include "memory/guest_memory.h"

namespace mynah {

// Puts the command line and Linux's boot_params ("zero page") into low memory, where EntryPoint's
// argument points. `code_address` is where the protected-mode code lies or would lie.
// Error: the command line is longer than the kernel takes.
Result<void> write_boot_params(GuestMemory& memory, const BzImage& image, const KernelBoot& boot,
                               const LoadedInitrd& initrd, GuestPhys code_address);

// Puts the terminated command line into low memory. `limit`: longest the kernel takes.
Result<void> write_command_line(GuestMemory& memory, const std::string& command_line,
                                uint64_t limit);

}  // namespace mynah
