#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --vcpus N[,sockets=N][,cores=N][,threads=N]; what is not given follows from the rest.
Result<void> apply_vcpus_option(RunOptions& options, std::string_view value);

}  // namespace mynah
