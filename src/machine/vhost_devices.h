#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "machine/machine_config.h"
#include "memory/guest_memory.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// What a board is to plug in: into a virtio-mmio slot, or as a card of this PCI class.
struct VhostPlug {
    std::unique_ptr<VirtioDevice> device;
    uint32_t pci_class = 0;
    bool disk = false;  // firmware can boot from it
};

// Connects to the back ends of a machine's vhost-user devices. Error: names the option, the path and
// why.
Result<std::vector<VhostPlug>> open_vhost_devices(const MachineConfig& config,
                                                  GuestMemory& memory);

}  // namespace mynah
