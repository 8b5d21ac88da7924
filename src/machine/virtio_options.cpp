#include "machine/virtio_options.h"

#include <fmt/core.h>

#include <algorithm>

#include "machine/networks.h"

namespace mynah {
namespace {

VirtioRings rings(const VirtioConfig& config) { return {config.packed, config.in_order}; }

}  // namespace

VirtioBlockOptions virtio_block_options(const MachineConfig& config, const DiskConfig& disk,
                                        size_t index) {
    VirtioBlockOptions options;
    // One for each processor: they need not wait for each other.
    options.queues = disk.virtio.queues.value_or(
        static_cast<uint16_t>(std::min<size_t>(config.topology.vcpus(), VirtioBlock::kMaxQueues)));
    options.id =
        disk.serial.empty() ? fmt::format("{}-{}", config.name.substr(0, 12), index) : disk.serial;
    options.writeback = disk.guest_cache();
    options.rings = rings(disk.virtio);
    return options;
}

VirtioNetOptions virtio_net_options(const MachineConfig& config, const NetworkConfig& network,
                                    size_t index) {
    VirtioNetOptions options;
    options.address = card_address(network, config.name, static_cast<unsigned>(index));
    options.mtu = network.mtu;
    options.pairs = network.virtio.queues.value_or(1);
    options.rings = rings(network.virtio);
    options.rss = network.rss;
    options.hash_report = network.hash_report;
    return options;
}

}  // namespace mynah
