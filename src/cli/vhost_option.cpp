#include "cli/vhost_option.h"

#include <fmt/core.h>

#include <bit>
#include <span>
#include <string>

#include "cli/nearest_name.h"

namespace mynah {
namespace {

using Kind = VhostUserConfig::Kind;

Result<uint64_t> parse_between(std::string_view text, uint64_t least, uint64_t most) {
    const auto number = parse_number(text);
    if (!number || number.value() < least || number.value() > most)
        return Error(fmt::format("expected {} to {}", least, most));
    return number.value();
}

uint16_t most_queues(Kind kind) {
    switch (kind) {
        case Kind::kDisk:
            return VhostUserConfig::kMaxDiskQueues;
        case Kind::kNetwork:
            return VhostUserConfig::kMaxPairs;
        case Kind::kFilesystem:
            return VhostUserConfig::kMaxFilesystemQueues;
        case Kind::kGeneric:
            return VhostUserConfig::kMaxGenericQueues;
        case Kind::kTap:
        case Kind::kVsock:
            return 1;
        case Kind::kVdpa:
            return VhostUserConfig::kMaxDiskQueues;
    }
    return 1;
}

Result<void> apply_part(VhostUserConfig& device, const ValuePart& part) {
    if (part.key == "queues") {
        device.queues =
            static_cast<uint16_t>(TRY(parse_between(part.value, 1, most_queues(device.kind))));
    } else if (part.key == "mac") {
        device.address = TRY(MacAddress::parse(part.value));
    } else if (part.key == "mtu") {
        device.mtu = static_cast<uint16_t>(
            TRY(parse_between(part.value, UserNetwork::kMinMtu, UserNetwork::kMaxMtu)));
    } else if (part.key == "model" || part.key == "bus") {
        if (part.value != "virtio") return Error("a vhost-user device is a virtio one");
    } else if (part.key == "tag") {
        if (part.value.empty() || part.value.size() > VhostUserConfig::kMaxTag)
            return Error(fmt::format("expected 1 to {} bytes", VhostUserConfig::kMaxTag));
        device.tag = part.value;
    } else if (part.key == "type") {
        constexpr uint64_t kMostTypes = 63;  // of PCI device ids [virtio-1.2 4.1.2]
        device.type = static_cast<uint32_t>(TRY(parse_between(part.value, 1, kMostTypes)));
    } else if (part.key == "queue-size") {
        const uint64_t size = TRY(parse_between(part.value, 2, VhostUserConfig::kMaxQueueSize));
        if (!std::has_single_bit(size)) return Error("expected a power of two");
        device.queue_size = static_cast<uint16_t>(size);
    } else {
        if (part.value.empty())
            return Error(device.kind == Kind::kVdpa ? "expected the path of a device or a socket"
                                                    : "expected the path of a socket");
        device.path = part.value;
    }
    return {};
}

// `keys`: those this kind of device has.
Result<void> apply_parts(VhostUserConfig& device, const std::vector<ValuePart>& parts,
                         std::span<const std::string_view> keys) {
    for (const ValuePart& part : parts) {
        bool known = false;
        for (const std::string_view key : keys) known |= part.key == key;
        if (!known) {
            const std::string& word = part.key.empty() ? part.value : part.key;
            std::string expected;
            for (const std::string_view key : keys) {
                expected += fmt::format("{}{}=", expected.empty() ? "" : ", ", key);
            }
            return Error(fmt::format("unknown part '{}'{}; expected {}", word,
                                     did_you_mean(word, keys), expected));
        }
        const auto applied = apply_part(device, part);
        if (!applied)
            return Error(fmt::format("{}={}: {}", part.key, part.value, applied.error().message()));
    }
    return {};
}

Result<void> add(RunOptions& options, VhostUserConfig device) {
    if (options.machine.vhost_devices.size() >= VhostUserConfig::kMaxDevices) {
        return Error(fmt::format("more than {} vhost-user devices", VhostUserConfig::kMaxDevices));
    }
    options.machine.vhost_devices.push_back(std::move(device));
    return {};
}

}  // namespace

Result<void> apply_vhost_disk(RunOptions& options, const std::vector<ValuePart>& parts) {
    constexpr std::string_view kKeys[] = {"vhost-user", "queues", "bus"};
    VhostUserConfig device;
    device.kind = Kind::kDisk;
    TRY(apply_parts(device, parts, kKeys));
    return add(options, std::move(device));
}

Result<void> apply_vhost_network(RunOptions& options, const std::vector<ValuePart>& parts) {
    constexpr std::string_view kKeys[] = {"vhost-user", "queues", "mac", "mtu", "model"};
    VhostUserConfig device;
    device.kind = Kind::kNetwork;
    TRY(apply_parts(device, parts, kKeys));
    return add(options, std::move(device));
}

Result<void> add_vhost_tap(RunOptions& options, const NetworkConfig& network) {
    using Model = NetworkConfig::Model;
    if (network.kind != NetworkConfig::Kind::kTap) return Error("vhost=on: belongs to tap=NAME");
    if (network.model != Model::kVirtio && network.model != Model::kDefault)
        return Error("vhost=on: the card is a virtio one; expected model=virtio");
    if (network.wants_virtio() || !network.pcap.empty())
        return Error(
            "vhost=on: the host's kernel moves the frames; expected no queues=, packed=, "
            "in_order=, iommu=, rss=, hash= or pcap=");
    VhostUserConfig device;
    device.kind = Kind::kTap;
    device.path = network.target;
    device.address = network.address;
    device.mtu = network.mtu;
    return add(options, std::move(device));
}

Result<void> add_vhost_vsock(RunOptions& options, uint64_t cid) {
    VhostUserConfig device;
    device.kind = Kind::kVsock;
    device.cid = cid;
    return add(options, std::move(device));
}

Result<void> apply_vhost_filesystem(RunOptions& options, const std::vector<ValuePart>& parts) {
    constexpr std::string_view kKeys[] = {"socket", "tag", "queues"};
    VhostUserConfig device;
    device.kind = Kind::kFilesystem;
    std::vector<ValuePart> named = parts;
    // The tag may stand without its key, second as virt-install has it.
    if (named.size() > 1 && named[1].key.empty()) named[1].key = "tag";
    TRY(apply_parts(device, named, kKeys));
    if (device.tag.empty()) return Error("the tag is missing; expected socket=PATH,TAG");
    return add(options, std::move(device));
}

Result<void> apply_vdpa_option(RunOptions& options, std::string_view value) {
    constexpr std::string_view kKeys[] = {"path", "queues", "mac"};
    std::vector<ValuePart> parts = split_value(value);
    if (parts.front().key.empty()) parts.front().key = "path";
    VhostUserConfig device;
    device.kind = Kind::kVdpa;
    TRY(apply_parts(device, parts, kKeys));
    if (device.path.empty()) return Error("expected PATH[,queues=N][,mac=ADDRESS]");
    return add(options, std::move(device));
}

Result<void> apply_device_option(RunOptions& options, std::string_view value) {
    constexpr std::string_view kKeys[] = {"type", "socket", "queues", "queue-size"};
    std::vector<ValuePart> parts = split_value(value);
    if (!parts.front().key.empty() || parts.front().value != "vhost-user")
        return Error("expected vhost-user,type=N,socket=PATH");
    parts.erase(parts.begin());
    VhostUserConfig device;
    TRY(apply_parts(device, parts, kKeys));
    if (device.type == 0 || device.path.empty())
        return Error("expected vhost-user,type=N,socket=PATH");
    return add(options, std::move(device));
}

}  // namespace mynah
