#pragma once

#include <string_view>

#include "cli/run_options.h"

namespace mynah {

// --video vga|virtio|none[,vga=off][,xres=N,yres=N]
Result<void> apply_video_option(RunOptions& options, std::string_view value);

}  // namespace mynah
