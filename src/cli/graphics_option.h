#pragma once

#include <string_view>

#include "base/result.h"
#include "cli/run_options.h"

namespace mynah {

// --graphics none|vnc[,listen=ADDRESS][,port=N][,socket=PATH][,web=on|PORT][,password=TEXT]
Result<void> apply_graphics_option(RunOptions& options, std::string_view value);

}  // namespace mynah
