#include "cli/attach_option.h"

#include <fmt/core.h>

#include <filesystem>

#include "cli/disk_option.h"
#include "cli/network_option.h"
#include "cli/run_options.h"

namespace mynah {

Result<void> attach_by_option(Machine& machine, const std::string& driver, const std::string& id,
                              const std::string& value, const std::string& directory) {
    RunOptions options;
    const auto place = [&](std::string& path) {
        if (!path.empty()) path = (std::filesystem::path(directory) / path).string();
    };
    if (driver == "virtio-blk-pci" || driver == "scsi-hd") {
        const auto parsed = apply_disk_option(options, value);
        if (!parsed) return Error(fmt::format("--disk {}: {}", value, parsed.error().message()));
        if (options.machine.disks.empty())
            return Error(fmt::format("--disk {}: expected path=FILE", value));
        DiskConfig& disk = options.machine.disks.front();
        if (driver == "scsi-hd" && disk.bus == DiskBus::kDefault) disk.bus = DiskBus::kScsi;
        place(disk.path);
        return machine.attach_disk(id, disk);
    }
    if (driver == "virtio-net-pci") {
        const auto parsed = apply_network_option(options, value);
        if (!parsed) return Error(fmt::format("--network {}: {}", value, parsed.error().message()));
        if (options.machine.networks.empty())
            return Error(fmt::format("--network {}: expected a network to attach", value));
        NetworkConfig& network = options.machine.networks.front();
        using Kind = NetworkConfig::Kind;
        if (network.kind == Kind::kStream || network.kind == Kind::kDatagram) place(network.target);
        place(network.peer);
        place(network.pcap);
        return machine.attach_network(id, network);
    }
    return Error(fmt::format("driver '{}': expected virtio-blk-pci, scsi-hd or virtio-net-pci", driver));
}

}  // namespace mynah
