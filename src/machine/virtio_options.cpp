#include "machine/virtio_options.h"

#include <fmt/core.h>

#include <algorithm>

#include "machine/disks.h"
#include "machine/networks.h"

namespace mynah {
namespace {

VirtioRings rings(const VirtioConfig& config) { return {config.packed, config.in_order}; }

// One for each processor: they need not wait for each other.
uint16_t disk_queues(const MachineConfig& machine, const VirtioConfig& config, uint16_t most) {
    return config.queues.value_or(
        static_cast<uint16_t>(std::min<size_t>(machine.topology.vcpus(), most)));
}

}  // namespace

VirtioBlockOptions virtio_block_options(const MachineConfig& config, const DiskConfig& disk,
                                        size_t index) {
    VirtioBlockOptions options;
    options.queues = disk_queues(config, disk.virtio, VirtioBlock::kMaxQueues);
    options.id = disk_serial(config, disk, index);
    options.writeback = disk.guest_cache();
    options.rings = rings(disk.virtio);
    return options;
}

VirtioScsiOptions virtio_scsi_options(const MachineConfig& config, const ScsiHostConfig& host) {
    VirtioScsiOptions options;
    options.queues = disk_queues(config, host.virtio, VirtioScsi::kMaxQueues);
    options.rings = rings(host.virtio);
    return options;
}

VirtioNetOptions virtio_net_options(const MachineConfig& config, const NetworkConfig& network,
                                    size_t index) {
    VirtioNetOptions options;
    options.address = card_address(network, config.identity, static_cast<unsigned>(index));
    options.mtu = network.mtu;
    options.pairs = network.virtio.queues.value_or(1);
    options.rings = rings(network.virtio);
    options.rss = network.rss;
    options.hash_report = network.hash_report;
    return options;
}

}  // namespace mynah
