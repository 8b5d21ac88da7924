#include "machine/vhost_devices.h"

#include <fmt/core.h>

#include "backend/network/tap_network.h"
#include "backend/vhost/kernel_vhost_client.h"
#include "backend/vhost/vdpa_client.h"
#include "paravirt/vhost/vhost_block.h"
#include "paravirt/vhost/vhost_net.h"
#include "paravirt/vhost/vhost_user_filesystem.h"
#include "paravirt/vhost/vhost_user_generic.h"
#include "paravirt/vhost/vhost_vsock.h"
#include "spec/virtio/device.h"

namespace mynah {
namespace {

static_assert(VhostUserConfig::kMaxDiskQueues == VhostBlock::kMaxQueues &&
              VhostUserConfig::kMaxPairs == VhostNet::kMaxPairs &&
              VhostUserConfig::kMaxFilesystemQueues == VhostUserFilesystem::kMaxQueues &&
              VhostUserConfig::kMaxTag == VhostUserFilesystem::kMaxTag &&
              VhostUserConfig::kMaxGenericQueues == VhostUserGeneric::kMaxQueues &&
              VhostUserConfig::kMaxQueueSize == VhostUserGeneric::kMaxQueueSize);

// PCI class codes.
constexpr uint32_t kMassStorage = 0x010000, kOtherStorage = 0x018000, kEthernet = 0x020000,
                   kOtherCommunication = 0x078000, kUnclassified = 0x00ff00;

Result<VirtioPlug> open_disk(const VhostUserConfig& config, const MachineConfig& machine,
                             GuestMemory& memory) {
    const VhostBlockOptions options{config.path, config.queues, machine.topology.vcpus()};
    return VirtioPlug{TRY(VhostBlock::open(options, memory)), kMassStorage, {{"disk@0,0"}}};
}

void set_address(VhostNetOptions& options, const VhostUserConfig& config,
                 const MachineConfig& machine, unsigned card) {
    options.address = config.address;
    // Numbered behind the cards whose networks are ours.
    options.spare_address =
        MacAddress::for_card(machine.identity, NetworkConfig::kMaxCards + card);
}

Result<VirtioPlug> open_network(const VhostUserConfig& config, const MachineConfig& machine,
                                unsigned card, GuestMemory& memory) {
    VhostNetOptions options;
    options.path = config.path;
    if (config.queues != 0) options.pairs = config.queues;
    options.mtu = config.mtu;
    set_address(options, config, machine, card);
    return VirtioPlug{TRY(VhostNet::open(options, memory)), kEthernet};
}

Result<VirtioPlug> open_filesystem(const VhostUserConfig& config, GuestMemory& memory) {
    VhostUserFilesystemOptions options{config.path, config.tag};
    if (config.queues != 0) options.queues = config.queues;
    return VirtioPlug{TRY(VhostUserFilesystem::open(options, memory)), kOtherStorage};
}

Result<VirtioPlug> open_generic(const VhostUserConfig& config, GuestMemory& memory) {
    VhostUserGenericOptions options;
    options.path = config.path;
    options.type = config.type;
    if (config.queues != 0) options.queues = config.queues;
    options.queue_size = config.queue_size;
    return VirtioPlug{TRY(VhostUserGeneric::open(options, memory)), kUnclassified};
}

// What the device is, it says itself.
Result<VirtioPlug> open_vdpa(const VhostUserConfig& config, const MachineConfig& machine,
                             unsigned& cards, GuestMemory& memory) {
    constexpr const char* kOrigin = "--vdpa ";
    constexpr uint16_t kNetRings = 2;
    const auto connect = [path = config.path]() -> Result<std::unique_ptr<VhostClient>> {
        return std::unique_ptr<VhostClient>(TRY(VdpaClient::open(path)));
    };
    auto link = TRY(VhostLink::open(config.path, kOrigin, kNetRings, connect));
    const auto failed = [&](const std::string& why) {
        return Error(fmt::format("{}{}: {}", kOrigin, config.path, why));
    };
    const uint32_t type = link->first_client().device_id();
    if (type == virtio::kDeviceBlock) {
        if (config.address) return failed("mac=: it is a disk");
        const VhostBlockOptions options{config.path, config.queues, machine.topology.vcpus()};
        return VirtioPlug{
            TRY(VhostBlock::open(options, std::move(link), memory)), kMassStorage, {{"disk@0,0"}}};
    }
    if (type != virtio::kDeviceNet)
        return failed(
            fmt::format("a vDPA device of type {}; expected a network card ({}) or a "
                        "disk ({})",
                        type, virtio::kDeviceNet, virtio::kDeviceBlock));
    if (config.queues > 1) return failed("queues=: of a network card one pair is used");
    VhostNetOptions options;
    options.path = config.path;
    set_address(options, config, machine, cards++);
    return VirtioPlug{TRY(VhostNet::open(options, std::move(link), memory)), kEthernet};
}

// The host's kernel moves the frames.
Result<VirtioPlug> open_tap(const VhostUserConfig& config, const MachineConfig& machine,
                            unsigned card, GuestMemory& memory) {
    const std::string origin = "--network tap=" + config.path + ",vhost=on";
    const auto tap = std::make_shared<Fd>(TRY(TapNetwork::descriptor(config.path, origin)));
    constexpr uint16_t kRings = 2;
    const auto connect = [tap]() -> Result<std::unique_ptr<VhostClient>> {
        return std::unique_ptr<VhostClient>(
            TRY(KernelNetClient::open({tap->get()}, host_system_calls())));
    };
    auto link = TRY(VhostLink::open(KernelNetClient::kPath, origin + " ", kRings, connect));
    VhostNetOptions options;
    options.mtu = config.mtu;
    set_address(options, config, machine, card);
    return VirtioPlug{TRY(VhostNet::open(options, std::move(link), memory)), kEthernet};
}

Result<VirtioPlug> open_vsock(const VhostUserConfig& config, GuestMemory& memory) {
    const auto connect = [cid = config.cid]() -> Result<std::unique_ptr<VhostClient>> {
        return std::unique_ptr<VhostClient>(TRY(KernelVsockClient::open(cid, host_system_calls())));
    };
    auto link = TRY(VhostLink::open(KernelVsockClient::kPath, "--vsock vhost=on ",
                                    VhostVsock::kRings, connect));
    return VirtioPlug{TRY(VhostVsock::open(config.cid, std::move(link), memory)),
                      kOtherCommunication};
}

}  // namespace

Result<std::vector<VirtioPlug>> open_vhost_devices(const MachineConfig& config,
                                                   GuestMemory& memory) {
    std::vector<VirtioPlug> plugs;
    unsigned cards = 0;
    for (const VhostUserConfig& device : config.vhost_devices) {
        switch (device.kind) {
            case VhostUserConfig::Kind::kDisk:
                plugs.push_back(TRY(open_disk(device, config, memory)));
                break;
            case VhostUserConfig::Kind::kNetwork:
                plugs.push_back(TRY(open_network(device, config, cards++, memory)));
                break;
            case VhostUserConfig::Kind::kFilesystem:
                plugs.push_back(TRY(open_filesystem(device, memory)));
                break;
            case VhostUserConfig::Kind::kGeneric:
                plugs.push_back(TRY(open_generic(device, memory)));
                break;
            case VhostUserConfig::Kind::kVdpa:
                plugs.push_back(TRY(open_vdpa(device, config, cards, memory)));
                break;
            case VhostUserConfig::Kind::kTap:
                plugs.push_back(TRY(open_tap(device, config, cards++, memory)));
                break;
            case VhostUserConfig::Kind::kVsock:
                plugs.push_back(TRY(open_vsock(device, memory)));
                break;
        }
    }
    for (VirtioPlug& plug : plugs) plug.direct = true;  // other processes map all of the memory
    return plugs;
}

}  // namespace mynah
