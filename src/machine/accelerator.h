#pragma once

#include <optional>
#include <string_view>

#include "machine/machine_config.h"

namespace mynah {

// Engines by the names they have on the command line.
std::string_view name_of(MachineConfig::Accelerator accelerator);
std::optional<MachineConfig::Accelerator> accelerator_named(std::string_view name);

// The engine that stands for kAuto here; others as they are.
MachineConfig::Accelerator what_auto_means(MachineConfig::Accelerator accelerator);

}  // namespace mynah
