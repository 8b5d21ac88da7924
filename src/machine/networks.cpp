#include "machine/networks.h"

#include <fmt/core.h>

#include "backend/network/datagram_network.h"
#include "backend/network/passt_network.h"
#include "backend/network/pcap_recorder.h"
#include "backend/network/stream_network.h"
#include "backend/network/switch_handshake.h"
#include "backend/network/tap_network.h"
#include "backend/network/user_network.h"
#include "host/input_file.h"

namespace mynah {
namespace {

Result<std::unique_ptr<NetworkBackend>> plug_into_switch(const NetworkConfig& config) {
    const SwitchGreeting greeting = config.port;
    std::unique_ptr<NetworkBackend> port =
        TRY(StreamNetwork::connect(config.target, "--network switch",
                                   [greeting](int socket) {
                                       return greet_switch(socket, greeting);
                                   }));
    return port;
}

Result<std::unique_ptr<NetworkBackend>> open_network(const NetworkConfig& config) {
    std::unique_ptr<NetworkBackend> backend;
    switch (config.kind) {
        case NetworkConfig::Kind::kUser: {
            UserNetworkOptions options = config.user;
            if (config.mtu != 0) options.mtu = config.mtu;
            backend = TRY(UserNetwork::open(options, "--network user"));
            break;
        }
        case NetworkConfig::Kind::kTap:
            backend = TRY(TapNetwork::open(config.target, "--network tap=" + config.target));
            break;
        case NetworkConfig::Kind::kStream:
            backend = config.listens
                          ? TRY(StreamNetwork::listen(config.target, "--network stream"))
                          : TRY(StreamNetwork::connect(config.target, "--network stream"));
            break;
        case NetworkConfig::Kind::kDatagram:
            backend = TRY(DatagramNetwork::open(config.target, config.peer, "--network dgram"));
            break;
        case NetworkConfig::Kind::kPasst:
            backend = config.target.empty()
                          ? TRY(PasstNetwork::start("--network passt"))
                          : TRY(PasstNetwork::connect(config.target, "--network passt="));
            break;
        case NetworkConfig::Kind::kBridge:
            backend = TRY(TapNetwork::on_bridge(config.target, "--network bridge=" + config.target));
            break;
        case NetworkConfig::Kind::kSwitch:
            backend = TRY(plug_into_switch(config));
            break;
    }
    if (!config.pcap.empty()) {
        backend = TRY(PcapRecorder::open(std::move(backend), config.pcap, "--network"));
    }
    return backend;
}

}  // namespace

Result<std::vector<std::unique_ptr<NetworkBackend>>> open_networks(
    const std::vector<NetworkConfig>& configs) {
    std::vector<std::unique_ptr<NetworkBackend>> networks;
    for (const NetworkConfig& config : configs) networks.push_back(TRY(open_network(config)));
    return networks;
}

std::string network_place(const NetworkConfig& config, std::string_view name) {
    const auto what = [&]() -> std::string {
        switch (config.kind) {
            case NetworkConfig::Kind::kUser: return "user";
            case NetworkConfig::Kind::kTap: return "tap=" + config.target;
            case NetworkConfig::Kind::kStream:
                return (config.listens ? "stream listening at " : "stream=") + config.target;
            case NetworkConfig::Kind::kDatagram: return "dgram=" + config.target;
            case NetworkConfig::Kind::kPasst:
                return config.target.empty() ? "passt" : "passt=" + config.target;
            case NetworkConfig::Kind::kBridge: return "bridge=" + config.target;
            case NetworkConfig::Kind::kSwitch: return "switch=" + config.target;
        }
        return "";
    };
    return fmt::format("network {} ({})", name, what());
}

std::vector<std::byte> network_boot_rom(NetworkConfig::Model model) {
    constexpr uint64_t kLargest = 1 << 20;
    const char* const name = model == NetworkConfig::Model::kE1000     ? "e1000"
                             : model == NetworkConfig::Model::kRtl8139 ? "rtl8139"
                                                                       : "virtio";
    // The first kind holds a BIOS image and a UEFI driver, the second the BIOS image only.
    for (const char* const kind : {"efi", "pxe"}) {
        const std::string path = fmt::format("/usr/lib/ipxe/qemu/{}-{}.rom", kind, name);
        const auto file = InputFile::open(path, path, kLargest);
        if (!file) continue;
        const auto content = file.value().read();
        if (!content) continue;
        const auto bytes = content.value().bytes();
        return {bytes.begin(), bytes.end()};
    }
    return {};
}

MacAddress card_address(const NetworkConfig& config, const std::string& machine, unsigned card) {
    return config.address.value_or(MacAddress::for_card(machine, card));
}

}  // namespace mynah
