#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/host_files.h"

namespace mynah {

// Whether the host could ever hold so much memory of a guest. Error: what was wanted, what is free
// and what is committed, in MiB.
Result<void> check_host_memory(const HostFiles& files, uint64_t bytes);

}  // namespace mynah
