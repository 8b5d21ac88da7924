#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "firmware/e820.h"
#include "firmware/unpack_cache.h"

namespace mynah {

// A file the operator named. `origin` begins messages about it: "--kernel FILE".
struct BootFile {
    std::span<const std::byte> bytes;
    std::string origin;
};

// What a kernel is started with. The spans must live while it is loaded.
struct KernelBoot {
    BootFile kernel;
    std::optional<BootFile> initrd;
    std::string command_line;
    std::span<const E820Entry> memory_map;
    GuestPhys rsdp{0};
    // Unpack a bzImage's payload here and enter it directly, which saves the guest the work.
    bool unpack = true;
    UnpackCache* unpack_cache = nullptr;  // if there is one
};

}  // namespace mynah
