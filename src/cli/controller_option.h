#pragma once

#include <string_view>

#include "base/result.h"
#include "cli/run_options.h"

namespace mynah {

// `--controller usb,model=xhci|ehci|none`, with virt-install's names for the models as well.
Result<void> apply_controller_option(RunOptions& options, std::string_view value);

}  // namespace mynah
