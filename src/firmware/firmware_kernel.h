#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "firmware/boot_files.h"

namespace mynah {

// A kernel that firmware is to start: the parts of a bzImage and what goes with them, as firmware's
// configuration device hands them out [fw_cfg], with the fields of the setup header that a boot
// loader fills in [linux-boot].
struct FirmwareKernel {
    std::vector<std::byte> setup, code, initrd;
    std::string command_line;
    uint32_t setup_address = 0, code_address = 0, command_line_address = 0, initrd_address = 0;
};

// low_memory_end: of the RAM below 4 GiB. Error: one line that names option and file.
Result<FirmwareKernel> make_firmware_kernel(const BootFile& kernel,
                                            const std::optional<BootFile>& initrd,
                                            const std::string& command_line,
                                            uint64_t low_memory_end);

}  // namespace mynah
