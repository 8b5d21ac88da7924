#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mynah {

// A guest to measure engines with: supervisor code in 64-bit mode that loads, adds and stores in a
// loop, counting RCX down from kCount; it never gets to its end. Its memory begins at 0, one page
// of 2 MiB mapped one to one [SDM 3A 4.5].
struct ProbeGuest {
    static constexpr size_t kMemory = 2 << 20;
    static constexpr uint64_t kTables = 0x1000, kCode = 0x4000, kData = 0x5000;
    static constexpr uint64_t kCount = uint64_t{1} << 62;
    static constexpr unsigned kInstructions = 4;  // in one turn of the loop

    // What lies at 0 to kData.
    static std::vector<std::byte> image();
    static uint64_t turns(uint64_t rcx) { return kCount - rcx; }
};

}  // namespace mynah
