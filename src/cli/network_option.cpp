#include "cli/network_option.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <array>
#include <string>

#include "cli/nearest_name.h"
#include "cli/option_value.h"
#include "cli/switch_command.h"
#include "cli/vhost_option.h"
#include "cli/virtio_parts.h"

namespace mynah {
namespace {

using Kind = NetworkConfig::Kind;
using Model = NetworkConfig::Model;

constexpr std::array<std::string_view, 9> kNetworks{
    "user", "tap", "bridge", "stream", "dgram", "passt", "switch", "vhost-user", "none"};
constexpr std::array<std::string_view, 1> kPlanned{"network"};
constexpr std::array<std::string_view, 22> kKeys{
    "model",  "mac",  "mtu",  "pcap",  "hostfwd", "restrict", "tftp",   "bootfile", "server",
    "peer",   "vlan", "trunk", "group", "mirror",  "rate",     "queues", "packed",   "in_order",
    "iommu",  "rss",  "hash", "vhost"};

template <typename T, size_t size>
bool contains(const std::array<T, size>& list, std::string_view word) {
    for (const auto& each : list) {
        if (each == word) return true;
    }
    return false;
}

Result<Model> parse_model(std::string_view text) {
    if (text == "virtio") return Model::kVirtio;
    if (text == "e1000") return Model::kE1000;
    if (text == "rtl8139") return Model::kRtl8139;
    return Error("expected virtio, e1000 or rtl8139");
}

Result<uint16_t> parse_port(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || number.value() == 0 || number.value() > 0xffff) {
        return Error("expected ports from 1 to 65535");
    }
    return static_cast<uint16_t>(number.value());
}

// "ADDRESS:PORT", the address may be empty.
Result<void> parse_end(std::string_view text, uint32_t& address, uint16_t& port) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return Error("expected [ADDRESS]:PORT at both ends");
    if (colon > 0) {
        in_addr parsed{};
        if (inet_pton(AF_INET, std::string(text.substr(0, colon)).c_str(), &parsed) != 1) {
            return Error("expected IPv4 addresses such as 127.0.0.1");
        }
        address = ntohl(parsed.s_addr);
    }
    port = TRY(parse_port(text.substr(colon + 1)));
    return {};
}

// tcp:[ADDRESS]:PORT-[ADDRESS]:PORT
Result<PortForward> parse_forward(std::string_view text) {
    PortForward forward;
    const size_t colon = text.find(':');
    const std::string_view protocol = text.substr(0, colon);
    const size_t dash = text.find('-');
    if (colon == std::string_view::npos || dash == std::string_view::npos || dash < colon ||
        (protocol != "tcp" && protocol != "udp")) {
        return Error("expected tcp:[ADDRESS]:PORT-[ADDRESS]:PORT, such as tcp::2222-:22");
    }
    forward.udp = protocol == "udp";
    TRY(parse_end(text.substr(colon + 1, dash - colon - 1), forward.host_address,
                  forward.host_port));
    TRY(parse_end(text.substr(dash + 1), forward.guest_address, forward.guest_port));
    return forward;
}

Result<uint16_t> parse_mtu(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || number.value() < UserNetwork::kMinMtu || number.value() > UserNetwork::kMaxMtu) {
        return Error(
            fmt::format("expected {} to {} bytes", UserNetwork::kMinMtu, UserNetwork::kMaxMtu));
    }
    return static_cast<uint16_t>(number.value());
}

Result<void> expect_kind(const NetworkConfig& network, Kind kind, std::string_view name) {
    if (network.kind == kind) return {};
    return Error(fmt::format("belongs to --network {}", name));
}

// The first part says where the cable goes.
Result<void> apply_kind(NetworkConfig& network, const ValuePart& part) {
    const std::string& word = part.key.empty() ? part.value : part.key;
    if (contains(kPlanned, word)) {
        return Error(
            fmt::format("this version does not have {}; expected user, tap=, bridge=, stream=, "
                        "dgram=, passt, switch=, vhost-user= or none",
                        word));
    }
    if (word == "user" && part.key.empty()) {
        network.kind = Kind::kUser;
        return {};
    }
    if (word == "passt") {
        network.kind = Kind::kPasst;
        if (!part.key.empty()) {
            network.target = part.value;
            if (part.value.empty()) return Error("passt=: expected a path, or passt alone");
        }
        return {};
    }
    network.target = part.value;
    if (part.key == "tap") {
        network.kind = Kind::kTap;
    } else if (part.key == "stream") {
        network.kind = Kind::kStream;
    } else if (part.key == "dgram") {
        network.kind = Kind::kDatagram;
    } else if (part.key == "bridge") {
        network.kind = Kind::kBridge;
    } else if (part.key == "switch") {
        network.kind = Kind::kSwitch;
        if (!part.value.empty()) network.target = switch_path(part.value);
    } else {
        return Error(
            fmt::format("unknown network '{}'{}; expected user, tap=NAME, bridge=NAME, stream=PATH, "
                        "dgram=PATH, passt, switch=NAME, vhost-user=PATH or none",
                        word, did_you_mean(word, kNetworks)));
    }
    if (part.value.empty()) {
        return Error(fmt::format("{}=: expected {}", part.key,
                                 part.key == "tap"      ? "the name of an interface"
                                 : part.key == "bridge" ? "the name of a bridge"
                                 : part.key == "switch" ? "the name of a switch"
                                                        : "a path"));
    }
    return {};
}

Result<void> apply_user_part(NetworkConfig& network, const ValuePart& part) {
    TRY(expect_kind(network, Kind::kUser, "user"));
    if (part.key == "hostfwd") {
        network.user.forwards.push_back(TRY(parse_forward(part.value)));
    } else if (part.key == "restrict") {
        network.user.restricted = TRY(parse_switch(part.value));
    } else if (part.value.empty()) {
        return Error("expected a value");
    } else if (part.key == "tftp") {
        network.user.tftp_directory = part.value;
    } else {
        network.user.boot_file = part.value;
    }
    return {};
}

Result<void> apply_switch_part(NetworkConfig& network, const ValuePart& part) {
    TRY(expect_kind(network, Kind::kSwitch, "switch=NAME"));
    SwitchGreeting& port = network.port;
    if (part.key == "vlan") {
        port.rules.vlan = TRY(parse_vlan(part.value));
    } else if (part.key == "trunk") {
        TRY(parse_trunk(part.value, port.rules));
    } else if (part.key == "mirror") {
        port.rules.mirror = TRY(parse_switch(part.value));
    } else if (part.key == "rate") {
        port.rules.bytes_per_second = TRY(parse_rate(part.value));
    } else if (part.value.empty() || part.value.size() > SwitchGreeting::kMaxName ||
               part.value.find(';') != std::string::npos) {
        return Error(fmt::format("expected a name of 1 to {} characters without ';'",
                                 SwitchGreeting::kMaxName));
    } else {
        port.group = part.value;
    }
    return {};
}

bool is_switch_part(std::string_view key) {
    return key == "vlan" || key == "trunk" || key == "group" || key == "mirror" || key == "rate";
}

Result<void> apply_part(NetworkConfig& network, const ValuePart& part) {
    if (TRY(apply_virtio_part(network.virtio, part, NetworkConfig::kMaxQueues))) return {};
    if (part.key == "model") {
        network.model = TRY(parse_model(part.value));
    } else if (part.key == "mac") {
        network.address = TRY(MacAddress::parse(part.value));
    } else if (part.key == "mtu") {
        network.mtu = TRY(parse_mtu(part.value));
    } else if (part.key == "vhost") {
        network.vhost = TRY(parse_switch(part.value));
    } else if (part.key == "rss") {
        network.rss = TRY(parse_switch(part.value));
    } else if (part.key == "hash") {
        network.hash_report = TRY(parse_switch(part.value));
    } else if (part.key == "pcap") {
        if (part.value.empty()) return Error("expected the path of a file to write");
        network.pcap = part.value;
    } else if (part.key == "server") {
        TRY(expect_kind(network, Kind::kStream, "stream=PATH"));
        network.listens = TRY(parse_switch(part.value));
    } else if (part.key == "peer") {
        TRY(expect_kind(network, Kind::kDatagram, "dgram=PATH"));
        network.peer = part.value;
    } else if (is_switch_part(part.key)) {
        return apply_switch_part(network, part);
    } else {
        return apply_user_part(network, part);
    }
    return {};
}

}  // namespace

Result<void> apply_network_option(RunOptions& options, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    if (parts.size() == 1 && parts[0].key.empty() && parts[0].value == "none") return {};
    if (parts.front().key == "vhost-user") return apply_vhost_network(options, parts);
    NetworkConfig network;
    TRY(apply_kind(network, parts.front()));
    for (size_t i = 1; i < parts.size(); ++i) {
        const ValuePart& part = parts[i];
        if (part.key.empty() || !contains(kKeys, part.key)) {
            const std::string& word = part.key.empty() ? part.value : part.key;
            return Error(fmt::format(
                "unknown part '{}'{}; expected model=, mac=, mtu=, pcap=, queues=, packed=, "
                "in_order=, iommu=, rss=, hash=, hostfwd=, restrict=, tftp=, bootfile=, server=, "
                "peer=, vlan=, trunk=, group=, mirror=, rate= or vhost=",
                word, did_you_mean(word, kKeys)));
        }
        const auto applied = apply_part(network, part);
        if (!applied) {
            return Error(fmt::format("{}={}: {}", part.key, part.value, applied.error().message()));
        }
    }
    if (network.vhost) return add_vhost_tap(options, network);
    if (network.wants_virtio() && network.model != Model::kVirtio &&
        network.model != Model::kDefault) {
        return Error("queues=, packed=, in_order=, iommu=, rss= and hash= belong to model=virtio");
    }
    if (network.kind == Kind::kDatagram && network.peer.empty()) {
        return Error("peer= is missing; expected dgram=PATH,peer=PATH");
    }
    const bool own_rules = network.port.rules.vlan != 0 || network.port.rules.trunk ||
                           network.port.rules.mirror || network.port.rules.bytes_per_second != 0;
    if (!network.port.group.empty() && own_rules)
        return Error("group= brings its own rules; expected no vlan=, trunk=, mirror= or rate=");
    network.port.name =
        fmt::format("{}-{}", options.machine.name.substr(0, 32), options.machine.networks.size());
    if (options.machine.networks.size() >= NetworkConfig::kMaxCards) {
        return Error(fmt::format("given more than {} times", NetworkConfig::kMaxCards));
    }
    options.machine.networks.push_back(network);
    return {};
}

}  // namespace mynah
