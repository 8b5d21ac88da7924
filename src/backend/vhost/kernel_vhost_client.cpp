#include "backend/vhost/kernel_vhost_client.h"

#include <fmt/core.h>
#include <linux/if_tun.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

namespace mynah {

namespace {

constexpr uint64_t kRingFeatures = vhost::kVersion1 | vhost::kIndirectDesc;
// TUN_F_USO4 and TUN_F_USO6, which headers before Linux 6.2 do not have.
constexpr unsigned kUso = 0x20 | 0x40;

// Of a card's features [virtio-1.2 5.1.3], whose header in linux/ is no C++: checksums and
// segmentation, by the driver (guest) and by the device (host).
constexpr uint64_t kHostCsum = bit(0), kHostTso4 = bit(11), kHostTso6 = bit(12), kHostEcn = bit(13),
                   kHostUso = bit(56);
constexpr uint64_t kGuestCsum = bit(1), kGuestTso4 = bit(7), kGuestTso6 = bit(8),
                   kGuestEcn = bit(9), kGuestUso4 = bit(54), kGuestUso6 = bit(55);
constexpr uint64_t kMergeableBuffers = bit(15);

Error at_path(const char* path, const Error& why) {
    return Error(fmt::format("{}: {}", path, why.message()));
}

}  // namespace

Result<void> KernelVhostClient::add_node(const std::string& path, uint64_t wanted,
                                         SystemCalls& calls) {
    if (!over_.valid()) return Error(path + ": no descriptor is left");
    VhostNode node = TRY(VhostNode::open(path,
                                         "a host whose kernel has vhost (module vhost_net, "
                                         "vhost_vsock)",
                                         calls));
    uint64_t offered = 0;
    Result<void> done = node.call("VHOST_SET_OWNER", VHOST_SET_OWNER, uintptr_t{0});
    if (done) done = node.call("VHOST_GET_FEATURES", VHOST_GET_FEATURES, &offered);
    if (!done) return at_path(path.c_str(), done.error());
    if ((offered & vhost::kVersion1) == 0)
        return Error(path + ": a kernel that knows only legacy devices");
    features_ &= offered & wanted;
    nodes_.push_back(std::move(node));
    return {};
}

VhostClient::Watch KernelVhostClient::end() const { return {over_.fd(), POLLIN}; }

Result<void> KernelVhostClient::set_features(uint64_t bits) {
    bits &= features_;
    for (const VhostNode& node : nodes_)
        TRY(node.call("VHOST_SET_FEATURES", VHOST_SET_FEATURES, &bits));
    return {};
}

// struct vhost_memory: a header, and as many regions.
Result<void> KernelVhostClient::set_memory(std::span<const VhostRegion> regions) {
    std::vector<std::byte> table(sizeof(vhost_memory) +
                                 regions.size() * sizeof(vhost_memory_region));
    vhost_memory header{};
    header.nregions = static_cast<uint32_t>(regions.size());
    std::memcpy(table.data(), &header, sizeof header);
    std::byte* at = table.data() + sizeof header;
    for (const VhostRegion& region : regions) {
        const vhost_memory_region entry{region.address, region.size,
                                        reinterpret_cast<uint64_t>(region.host), 0};
        std::memcpy(at, &entry, sizeof entry);
        at += sizeof entry;
    }
    for (const VhostNode& node : nodes_)
        TRY(node.call("VHOST_SET_MEM_TABLE", VHOST_SET_MEM_TABLE, table.data()));
    return {};
}

Result<void> KernelVhostClient::start_ring(uint16_t queue, const VhostRing& ring) {
    vhost_vring_addr address{};
    address.index = queue % kRingsOfNode;
    address.desc_user_addr = reinterpret_cast<uint64_t>(ring.descriptors);
    address.avail_user_addr = reinterpret_cast<uint64_t>(ring.available);
    address.used_user_addr = reinterpret_cast<uint64_t>(ring.used);
    return nodes_.at(queue / kRingsOfNode)
        .set_ring(address, ring.size, ring.base, ring.kick, ring.call);
}

// --- vhost-net ---

Result<std::unique_ptr<KernelNetClient>> KernelNetClient::open(std::vector<int> taps,
                                                               SystemCalls& calls) {
    std::unique_ptr<KernelNetClient> client(new KernelNetClient);
    // Not VHOST_NET_F_VIRTIO_NET_HDR: headers are the interface's business.
    for (size_t i = 0; i < taps.size(); ++i)
        TRY(client->add_node(kPath, kRingFeatures | kMergeableBuffers, calls));
    client->taps_ = std::move(taps);
    client->cuts_udp_ = !client->taps_.empty();
    for (const int tap : client->taps_)
        client->cuts_udp_ &= calls.ioctl(tap, TUNSETOFFLOAD, uintptr_t{TUN_F_CSUM | kUso}) >= 0;
    return client;
}

uint64_t KernelNetClient::features() const {
    uint64_t bits = kernel_features() | kHostCsum | kHostTso4 | kHostTso6 | kHostEcn | kGuestCsum |
                    kGuestTso4 | kGuestTso6 | kGuestEcn;
    if (cuts_udp_) bits |= kHostUso | kGuestUso4 | kGuestUso6;
    return bits;
}

// What the interface may leave to the card's driver, as its features say.
Result<void> KernelNetClient::set_features(uint64_t bits) {
    constexpr uint64_t kBothUso = kGuestUso4 | kGuestUso6;
    unsigned flags = 0;
    if ((bits & kGuestCsum) != 0) {
        flags |= TUN_F_CSUM;
        if ((bits & kGuestTso4) != 0) flags |= TUN_F_TSO4;
        if ((bits & kGuestTso6) != 0) flags |= TUN_F_TSO6;
        if ((bits & kGuestEcn) != 0) flags |= TUN_F_TSO_ECN;
        if ((bits & kBothUso) == kBothUso) flags |= kUso;
    }
    for (size_t i = 0; i < taps_.size(); ++i) {
        const int result = nodes()[i].calls().ioctl(taps_[i], TUNSETOFFLOAD, uintptr_t{flags});
        if (result < 0) return Error(fmt::format("TUNSETOFFLOAD: {}", std::strerror(-result)));
    }
    return KernelVhostClient::set_features(bits);
}

Result<void> KernelNetClient::enable_ring(uint16_t queue, bool on) {
    const size_t pair = queue / kRingsOfNode;
    vhost_vring_file file{unsigned{queue} % kRingsOfNode, on ? taps_.at(pair) : VHOST_FILE_UNBIND};
    return nodes()[pair].call("VHOST_NET_SET_BACKEND", VHOST_NET_SET_BACKEND, &file);
}

// --- vhost-vsock ---

Result<std::unique_ptr<KernelVsockClient>> KernelVsockClient::open(uint64_t guest_cid,
                                                                   SystemCalls& calls) {
    std::unique_ptr<KernelVsockClient> client(new KernelVsockClient);
    TRY(client->add_node(kPath, kRingFeatures | bit(VIRTIO_VSOCK_F_SEQPACKET), calls));
    const int result = calls.ioctl(client->nodes()[0].fd(), VHOST_VSOCK_SET_GUEST_CID, &guest_cid);
    if (result == -EADDRINUSE)
        return Error(fmt::format("cid={}: another machine of this host has it", guest_cid));
    if (result < 0)
        return Error(
            fmt::format("{}: VHOST_VSOCK_SET_GUEST_CID: {}", kPath, std::strerror(-result)));
    return client;
}

Result<void> KernelVsockClient::run(bool on) {
    int running = on ? 1 : 0;
    return nodes()[0].call("VHOST_VSOCK_SET_RUNNING", VHOST_VSOCK_SET_RUNNING, &running);
}

// With the last of its rings.
Result<void> KernelVsockClient::enable_ring(uint16_t queue, bool on) {
    if (queue + 1 != kRingsOfNode) return {};
    return run(on);
}

}  // namespace mynah
