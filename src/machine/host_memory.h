#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/host_files.h"
#include "memory/memory_backing.h"

namespace mynah {

// Whether the host could ever hold so much memory of a guest. Error: what was wanted, what is free
// and what is committed, in MiB.
Result<void> check_host_memory(const HostFiles& files, uint64_t bytes);

// Whether it has what that memory is to be made of now: huge pages of this size and so many free, the
// nodes, and what is to be allocated beforehand. Error: names the part of --memory, with the numbers
// and what would help.
Result<void> check_memory_backing(const HostFiles& files, uint64_t bytes,
                                  const MemoryBacking& backing);

// Size of the huge pages that the host takes when nobody names one, in bytes; 0: it has none.
uint64_t usual_huge_page(const HostFiles& files);

}  // namespace mynah
