#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --memory SIZE[,hugepages=on|SIZE][,prealloc=on][,host-nodes=LIST][,policy=NAME].
Result<void> apply_memory_option(RunOptions& options, std::string_view value);

}  // namespace mynah
