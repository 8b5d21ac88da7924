#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --serial stdio|file=PATH|socket=PATH|pty|none, once for each port.
Result<void> apply_serial_option(RunOptions& options, std::string_view value);
// COM1 on standard input and output, if nothing else was said. Error: two ports want them.
Result<void> finish_serial_options(RunOptions& options);

}  // namespace mynah
