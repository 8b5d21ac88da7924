#include "backend/vhost/vdpa_client.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/bits.h"

namespace mynah {

namespace {

// Bits of VHOST_GET_BACKEND_FEATURES [linux/vhost_types.h], which that header gives as numbers.
constexpr uint64_t kMessagesV2 = bit(VHOST_BACKEND_F_IOTLB_MSG_V2);
constexpr uint64_t kBatch = bit(VHOST_BACKEND_F_IOTLB_BATCH);
constexpr uint64_t kSuspend = bit(VHOST_BACKEND_F_SUSPEND);
constexpr uint64_t kMappingsPersist = bit(8);  // VHOST_BACKEND_F_IOTLB_PERSIST, Linux 6.8
// Longest configuration of a device that is known.
constexpr uint32_t kMaxConfig = 256;

bool same(const VhostRegion& a, const VhostRegion& b) {
    return a.address == b.address && a.host == b.host && a.size == b.size && a.fd == b.fd &&
           a.fd_offset == b.fd_offset;
}

}  // namespace

Result<std::unique_ptr<VdpaClient>> VdpaClient::open(const std::string& path) {
    struct stat what {};
    if (stat(path.c_str(), &what) != 0 || !S_ISSOCK(what.st_mode))
        return open(path, host_system_calls());
    auto calls = std::make_unique<VdpaSocketCalls>();
    auto client = TRY(open(path, *calls));
    client->socket_ = std::move(calls);
    return client;
}

Result<std::unique_ptr<VdpaClient>> VdpaClient::open(const std::string& path, SystemCalls& calls) {
    constexpr const char* kExpected = "/dev/vhost-vdpa-N, or a socket of mynah serve vdpa";
    VhostNode node = TRY(VhostNode::open(path, kExpected, calls));
    std::unique_ptr<VdpaClient> client(new VdpaClient(std::move(node)));
    const auto introduced = client->introduce();
    if (!introduced)
        return Error(fmt::format("{}: no vDPA device: {}", path, introduced.error().message()));
    return client;
}

Result<void> VdpaClient::introduce() {
    if (!news_.valid() || !over_.valid()) return Error("no descriptor is left");
    TRY(node_.call("VHOST_VDPA_GET_DEVICE_ID", VHOST_VDPA_GET_DEVICE_ID, &device_id_));
    TRY(node_.call("VHOST_SET_OWNER", VHOST_SET_OWNER, uintptr_t{0}));
    TRY(agree_on_back_end_features());
    TRY(set_status(0));
    TRY(node_.call("VHOST_GET_FEATURES", VHOST_GET_FEATURES, &features_));
    if ((features_ & vhost::kVersion1) == 0)
        return Error("it is a legacy device; expected one of virtio 1.0 or later");
    TRY(node_.call("VHOST_VDPA_GET_VRING_NUM", VHOST_VDPA_GET_VRING_NUM, &queue_size_limit_));
    if (queue_size_limit_ == 0) return Error("its queues have no entries");
    // Newer than the rest: without them the device says less.
    uint32_t count = 0;
    if (node_.calls().ioctl(node_.fd(), VHOST_VDPA_GET_VQS_COUNT, &count) == 0)
        queue_limit_ = count;
    if (node_.calls().ioctl(node_.fd(), VHOST_VDPA_GET_CONFIG_SIZE, &config_size_) != 0)
        config_size_ = kMaxConfig;
    if (node_.calls().ioctl(node_.fd(), VHOST_VDPA_GET_IOVA_RANGE, &addresses_) != 0)
        addresses_ = {0, ~uint64_t{0}};
    int fd = news_.fd();
    TRY(node_.call("VHOST_VDPA_SET_CONFIG_CALL", VHOST_VDPA_SET_CONFIG_CALL, &fd));
    return {};
}

Result<void> VdpaClient::agree_on_back_end_features() {
    uint64_t offered = 0;
    TRY(node_.call("VHOST_GET_BACKEND_FEATURES", VHOST_GET_BACKEND_FEATURES, &offered));
    back_end_features_ = offered & (kMessagesV2 | kBatch | kSuspend | kMappingsPersist);
    if ((back_end_features_ & kMessagesV2) == 0)
        return Error("it takes no messages of version 2 about memory");
    return node_.call("VHOST_SET_BACKEND_FEATURES", VHOST_SET_BACKEND_FEATURES,
                      &back_end_features_);
}

VhostClient::Watch VdpaClient::end() const {
    if (socket_) return {node_.fd(), POLLRDHUP};
    return {over_.fd(), POLLIN};
}

void VdpaClient::shut() {
    if (socket_) socket_->shut(node_.fd());
    over_.signal();
}

// --- the device ---

// A request's argument: header and content [struct vhost_vdpa_config].
struct VdpaClient::Config {
    explicit Config(uint32_t offset, uint32_t size) {
        vhost_vdpa_config header{};
        header.off = offset;
        header.len = size;
        std::memcpy(bytes.data(), &header, sizeof header);
    }
    std::span<std::byte> content() { return std::span(bytes).subspan(sizeof(vhost_vdpa_config)); }

    alignas(
        vhost_vdpa_config) std::array<std::byte, sizeof(vhost_vdpa_config) + kMaxConfig> bytes{};
};

Result<void> VdpaClient::get_config(std::span<std::byte> to) {
    std::ranges::fill(to, std::byte{0});
    const auto size =
        static_cast<uint32_t>(std::min<size_t>({to.size(), config_size_, kMaxConfig}));
    Config config(0, size);
    TRY(node_.call("VHOST_VDPA_GET_CONFIG", VHOST_VDPA_GET_CONFIG, config.bytes.data()));
    std::memcpy(to.data(), config.content().data(), size);
    return {};
}

Result<void> VdpaClient::set_config(uint32_t offset, std::span<const std::byte> from) {
    if (from.size() > kMaxConfig) return Error("configuration too long");
    Config config(offset, static_cast<uint32_t>(from.size()));
    std::memcpy(config.content().data(), from.data(), from.size());
    return node_.call("VHOST_VDPA_SET_CONFIG", VHOST_VDPA_SET_CONFIG, config.bytes.data());
}

Result<void> VdpaClient::set_features(uint64_t bits) {
    TRY(set_status(0));
    TRY(set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER));
    // Its requests name addresses that were mapped for it, which it insists on being told.
    bits |= features_ & vhost::kAccessPlatform;
    return node_.call("VHOST_SET_FEATURES", VHOST_SET_FEATURES, &bits);
}

Result<void> VdpaClient::set_status(uint8_t status) {
    TRY(node_.call("VHOST_VDPA_SET_STATUS", VHOST_VDPA_SET_STATUS, &status));
    if (status != 0) return {};
    // Some devices lose what was mapped when they are reset, and most do not say whether.
    if ((back_end_features_ & kMappingsPersist) == 0) return unmap();
    return {};
}

Result<uint64_t> VdpaClient::get_status() {
    uint8_t status = 0;
    TRY(node_.call("VHOST_VDPA_GET_STATUS", VHOST_VDPA_GET_STATUS, &status));
    return uint64_t{status};
}

Result<void> VdpaClient::stop_device() {
    if ((back_end_features_ & kSuspend) != 0)
        TRY(node_.call("VHOST_VDPA_SUSPEND", VHOST_VDPA_SUSPEND, uintptr_t{0}));
    return set_status(0);
}

// --- memory ---

Result<void> VdpaClient::send(vhost_iotlb_msg what) {
    vhost_msg_v2 message{};
    message.type = VHOST_IOTLB_MSG_V2;
    message.iotlb = what;
    const int64_t written = node_.calls().write(node_.fd(), &message, sizeof message);
    if (written == sizeof message) return {};
    const char* const why = written < 0 ? std::strerror(static_cast<int>(-written)) : "cut short";
    if (what.type != VHOST_IOTLB_UPDATE) return Error(fmt::format("mapping memory: {}", why));
    return Error(fmt::format("mapping {} bytes of memory at {:#x}: {}{}", uint64_t{what.size},
                             uint64_t{what.iova}, why,
                             written == -ENOMEM ? "; expected a limit on locked memory "
                                                  "(ulimit -l) beyond the guest's"
                                                : ""));
}

Result<void> VdpaClient::set_memory(std::span<const VhostRegion> regions) {
    if (std::ranges::equal(mapped_, regions, same)) return {};
    for (const VhostRegion& region : regions) {
        if (region.size == 0 || region.address < addresses_.first ||
            region.address + region.size - 1 > addresses_.last) {
            return Error(
                fmt::format("memory at {:#x} to {:#x} is out of its reach ({:#x} to {:#x})",
                            region.address, region.address + region.size - 1,
                            uint64_t{addresses_.first}, uint64_t{addresses_.last}));
        }
    }
    if (socket_) socket_->share(regions);
    TRY(unmap());
    vhost_iotlb_msg mark{};
    mark.type = VHOST_IOTLB_BATCH_BEGIN;
    const bool batch = (back_end_features_ & kBatch) != 0;
    if (batch) TRY(send(mark));
    TRY(map(regions));
    mark.type = VHOST_IOTLB_BATCH_END;
    if (batch) TRY(send(mark));
    return {};
}

Result<void> VdpaClient::map(std::span<const VhostRegion> regions) {
    for (const VhostRegion& region : regions) {
        vhost_iotlb_msg update{};
        update.iova = region.address;
        update.size = region.size;
        update.uaddr = reinterpret_cast<uint64_t>(region.host);
        update.perm = VHOST_ACCESS_RW;
        update.type = VHOST_IOTLB_UPDATE;
        TRY(send(update));
        mapped_.push_back(region);
    }
    return {};
}

Result<void> VdpaClient::unmap() {
    while (!mapped_.empty()) {
        vhost_iotlb_msg invalidate{};
        invalidate.iova = mapped_.back().address;
        invalidate.size = mapped_.back().size;
        invalidate.type = VHOST_IOTLB_INVALIDATE;
        mapped_.pop_back();
        TRY(send(invalidate));
    }
    return {};
}

Result<uint64_t> VdpaClient::address_of(const std::byte* host) const {
    for (const VhostRegion& region : mapped_) {
        if (host >= region.host && host < region.host + region.size)
            return region.address + static_cast<uint64_t>(host - region.host);
    }
    return Error("a ring that is not in the memory that was given");
}

// --- rings ---

Result<void> VdpaClient::start_ring(uint16_t queue, const VhostRing& ring) {
    vhost_vring_addr address{};
    address.index = queue;
    address.desc_user_addr = TRY(address_of(ring.descriptors));
    address.avail_user_addr = TRY(address_of(ring.available));
    address.used_user_addr = TRY(address_of(ring.used));
    return node_.set_ring(address, ring.size, ring.base, ring.kick, ring.call);
}

Result<void> VdpaClient::enable_ring(uint16_t queue, bool on) {
    vhost_vring_state state{queue, on ? 1u : 0u};
    return node_.call("VHOST_VDPA_SET_VRING_ENABLE", VHOST_VDPA_SET_VRING_ENABLE, &state);
}

}  // namespace mynah
