#pragma once

#include "base/result.h"
#include "machine/machine_config.h"

namespace mynah {

// Where a machine is to be on the host. Error: names the option, what is wrong with it here, and the
// numbers.
Result<void> check_placement(const MachineConfig& config);

}  // namespace mynah
