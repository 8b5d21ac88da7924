#pragma once

#include <string>

#include "base/result.h"
#include "machine/machine.h"

namespace mynah {

// Puts a device into a running machine: `driver` is virtio-blk-pci with what --disk takes, or
// virtio-net-pci with what --network takes. Relative paths begin at `directory`. Error: one line
// that names what is wrong.
Result<void> attach_by_option(Machine& machine, const std::string& driver, const std::string& id,
                              const std::string& value, const std::string& directory);

}  // namespace mynah
