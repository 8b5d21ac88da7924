#pragma once

#include <vector>

#include "base/result.h"
#include "machine/machine_config.h"
#include "machine/virtio_plug.h"
#include "memory/guest_memory.h"

namespace mynah {

// Connects to the back ends of a machine's vhost-user devices. Error: names the option, the path and
// why.
Result<std::vector<VirtioPlug>> open_vhost_devices(const MachineConfig& config,
                                                  GuestMemory& memory);

}  // namespace mynah
