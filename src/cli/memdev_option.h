#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --memdev: memory by devices, as virt-install has it. Error: a clause.
Result<void> apply_memdev_option(RunOptions& options, std::string_view value);

}  // namespace mynah
