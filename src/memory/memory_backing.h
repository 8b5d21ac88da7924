#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace mynah {

// What of the host's memory a guest's RAM is made of.
struct MemoryBacking {
    // On which of the host's memory nodes [Linux set_mempolicy(2)].
    enum class Policy : uint8_t { kBind, kInterleave, kPreferred };

    uint64_t huge_page = 0;    // bytes of the host's huge pages; 0: pages of the usual size
    bool preallocate = false;  // all of it before the machine starts, not when it is touched
    std::vector<uint32_t> nodes = {};  // empty: the host decides
    Policy policy = Policy::kBind;
};

// An anonymous file for `size` bytes, whole pages of the backing. Nobody can take memory away from
// it under a running processor; holes can still be punched. Error: a clause with the call that failed.
Result<int> create_memory_file(const MemoryBacking& backing, uint64_t size);

// Says where the pages of a mapping of such a file come from; nobody has touched it yet. Error: a
// clause.
Result<void> choose_memory_nodes(const MemoryBacking& backing, std::byte* base, uint64_t size);
// Has all pages of a mapping allocated, by several threads. Error: a clause.
Result<void> allocate_memory(const MemoryBacking& backing, std::byte* base, uint64_t size);

}  // namespace mynah
