#include "paravirt/vhost/vhost_net.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "paravirt/virtio/config_bytes.h"
#include "paravirt/virtio/control_queue.h"
#include "spec/virtio/device.h"
#include "spec/virtio/net.h"

namespace mynah {

using namespace virtio::net;

namespace {

constexpr const char* kOrigin = "--network vhost-user=";

constexpr uint64_t kGuestUfo = bit(10), kHostUfo = bit(14);
// What is between the driver and whoever moves the frames.
constexpr uint64_t kOfFrames = kFeatureCsum | kGuestOffloads | kGuestUfo | kFeatureHostTso4 |
                               kFeatureHostTso6 | kFeatureHostEcn | kHostUfo | kFeatureMrgRxbuf |
                               kFeatureHostUso;
// What is served here.
constexpr uint64_t kOurs = kFeatureMac | kFeatureStatus | kFeatureCtrlVq | kFeatureCtrlRx |
                           kFeatureCtrlRxExtra | kFeatureCtrlMacAddr | kFeatureGuestAnnounce;

}  // namespace

Result<std::unique_ptr<VhostNet>> VhostNet::open(const VhostNetOptions& options,
                                                 GuestMemory& memory) {
    const auto rings = static_cast<uint16_t>(2 * options.pairs);
    auto link = TRY(VhostLink::open(options.path, kOrigin, rings,
                                    vhost_user::kProtocolMq | vhost_user::kProtocolMtu));
    // Some count queues, some pairs: the document says queues, DPDK's are pairs. One that has more
    // than a pair has the feature that needs them.
    const VhostClient& client = link->first_client();
    const bool several = (client.features() & kFeatureMq) != 0;
    const uint64_t most = several ? std::max<uint64_t>(client.queue_limit(), 1) : 1;
    if (options.pairs > most)
        return Error(fmt::format("{}{}: queues={}: the back end has {}", kOrigin, options.path,
                                 options.pairs, most));
    return open(options, std::move(link), memory);
}

Result<std::unique_ptr<VhostNet>> VhostNet::open(const VhostNetOptions& options,
                                                 std::unique_ptr<VhostLink> link,
                                                 GuestMemory& memory) {
    const std::string origin = link->origin() + options.path;
    VhostClient& client = link->first_client();
    const uint16_t queue_size = usable_queue_size(client, kQueueSize);
    std::unique_ptr<VhostNet> card(new VhostNet(std::move(link), memory, options, queue_size));
    card->address_ = options.address.value_or(options.spare_address);
    if (client.has_config()) {
        Config config{};
        const auto got = client.get_config(std::as_writable_bytes(std::span(&config, 1)));
        if (!got) return Error(fmt::format("{}: {}", origin, got.error().message()));
        if (!options.address && (client.features() & kFeatureMac) != 0)
            std::ranges::copy(config.mac, card->address_.bytes.begin());
        const auto loaded = card->load_config(client);
        if (!loaded) return Error(fmt::format("{}: {}", origin, loaded.error().message()));
    }
    TRY(card->begin());
    return card;
}

VhostNet::VhostNet(std::unique_ptr<VhostLink> link, GuestMemory& memory,
                   const VhostNetOptions& options, uint16_t queue_size)
    : VhostDevice(std::move(link), memory,
                  {.device_id = virtio::kDeviceNet,
                   .rings = static_cast<uint16_t>(2 * options.pairs),
                   .queue_size = queue_size,
                   .completes_soon = false}),
      options_(options) {}

Result<void> VhostNet::load_config(VhostClient& client) {
    if (!client.has_config() || (client.features() & kFeatureStatus) == 0) return {};
    Config config{};
    TRY(client.get_config(std::as_writable_bytes(std::span(&config, 1))));
    link_up_ = (config.status & kStatusLinkUp) != 0;
    return {};
}

// A device that has a configuration of its own would take what is served here for its business.
uint64_t VhostNet::for_backend(uint64_t features) const {
    return runs_as_one() ? features & (kOfFrames | kFeatureMac | kFeatureStatus) : features;
}

uint64_t VhostNet::features() const {
    uint64_t bits = (backend_features() & kOfFrames) | kOurs;
    if (options_.pairs > 1) bits |= kFeatureMq;
    if (options_.mtu != 0) bits |= kFeatureMtu;
    return bits;
}

uint64_t VhostNet::withheld_features() const { return kOfFrames & ~backend_features(); }

void VhostNet::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    std::copy(address_.bytes.begin(), address_.bytes.end(), config.mac);
    if (connected() && link_up_) config.status |= kStatusLinkUp;
    if (announce_) config.status |= kStatusAnnounce;
    config.max_virtqueue_pairs = options_.pairs;
    config.mtu = options_.mtu;
    read_config_bytes(config, offset, to);
}

void VhostNet::negotiated(uint64_t features) {
    active_pairs_ = 1;
    announce_ = false;
    VhostDevice::negotiated(features);
}

void VhostNet::reset() {
    active_pairs_ = 1;
    announce_ = false;
    VhostDevice::reset();
}

Result<void> VhostNet::prepare(VhostClient& client) {
    if (options_.mtu == 0) return {};
    return client.set_mtu(options_.mtu);
}

bool VhostNet::is_local(uint16_t queue) const {
    const bool all = (negotiated_features() & kFeatureMq) != 0;
    return queue == 2 * (all ? options_.pairs : 1) || queue == 2 * options_.pairs;
}

// The network on the other side may be another one: the driver makes itself known there.
void VhostNet::connection_changed() {
    if (connected() && (negotiated_features() & kFeatureGuestAnnounce) != 0) announce_ = true;
    tell_config_changed();
}

uint8_t VhostNet::set_pairs(uint16_t pairs) {
    if (pairs == 0 || pairs > options_.pairs) return kError;
    active_pairs_ = pairs;
    for (uint16_t queue = 0; queue < 2 * options_.pairs; ++queue)
        enable_ring(queue, on_at_start(queue));
    return kOk;
}

uint8_t VhostNet::control(SliceList& command) {
    Control header{};
    if (!command.take_front(std::as_writable_bytes(std::span(&header, 1)))) return kError;
    switch (header.control_class) {
        case kClassMq: {
            uint16_t pairs = 0;
            if (header.command != kMqPairsSet || (negotiated_features() & kFeatureMq) == 0 ||
                !command.take_front(std::as_writable_bytes(std::span(&pairs, 1)))) {
                return kError;
            }
            return set_pairs(pairs);
        }
        case kClassAnnounce:
            if (header.command != kAnnounceAcknowledge) return kError;
            announce_ = false;
            return kOk;
        // Nothing is filtered, so any mode and any table is met.
        case kClassRx:
        case kClassMac:
            return kOk;
        default:
            return kError;
    }
}

void VhostNet::serve_local(VirtioQueue& queue) {
    serve_control_queue(queue, [this](SliceList& command) { return control(command); });
}

}  // namespace mynah
