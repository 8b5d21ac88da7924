#pragma once

#include <cstddef>

#include "machine/machine_config.h"
#include "paravirt/virtio/scsi/virtio_scsi.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_net.h"

namespace mynah {

// What the configuration says about a device, for either board. index: among the machine's disks
// or cards.
VirtioBlockOptions virtio_block_options(const MachineConfig& config, const DiskConfig& disk,
                                        size_t index);
VirtioScsiOptions virtio_scsi_options(const MachineConfig& config, const ScsiHostConfig& host);
VirtioNetOptions virtio_net_options(const MachineConfig& config, const NetworkConfig& network,
                                    size_t index);

}  // namespace mynah
