#include "paravirt/vhost/vhost_user_net.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "paravirt/vhost/config_bytes.h"
#include "spec/virtio/device.h"
#include "spec/virtio/net.h"

namespace mynah {

using namespace virtio::net;

namespace {

constexpr const char* kOrigin = "--network vhost-user=";

constexpr uint64_t kMultiqueue = bit(22);  // VIRTIO_NET_F_MQ [virtio-1.2 5.1.3]
constexpr uint64_t kGuestUfo = bit(10), kHostUfo = bit(14);
// What is between the driver and whoever moves the frames.
constexpr uint64_t kOfFrames = kFeatureCsum | kGuestOffloads | kGuestUfo | kFeatureHostTso4 |
                               kFeatureHostTso6 | kFeatureHostEcn | kHostUfo | kFeatureMrgRxbuf |
                               kFeatureHostUso;
// What is served here.
constexpr uint64_t kOurs = kFeatureMac | kFeatureStatus | kFeatureCtrlVq | kFeatureCtrlRx |
                           kFeatureCtrlRxExtra | kFeatureCtrlMacAddr | kFeatureGuestAnnounce;
constexpr uint8_t kClassMultiqueue = 4, kPairsSet = 0;  // [virtio-1.2 5.1.6.5.5]

}  // namespace

Result<std::unique_ptr<VhostUserNet>> VhostUserNet::open(const VhostUserNetOptions& options,
                                                         GuestMemory& memory) {
    const auto rings = static_cast<uint16_t>(2 * options.pairs);
    auto link = TRY(VhostUserLink::open(options.path, kOrigin, rings,
                                        vhost_user::kProtocolMq | vhost_user::kProtocolMtu));
    // Some count queues, some pairs: the document says queues, DPDK's are pairs. One that has more
    // than a pair has the feature that needs them.
    const VhostUserClient& client = link->first_client();
    const bool several = (client.features() & kMultiqueue) != 0;
    const uint64_t most = several ? std::max<uint64_t>(client.queue_limit(), 1) : 1;
    if (options.pairs > most)
        return Error(fmt::format("{}{}: queues={}: the back end has {}", kOrigin, options.path,
                                 options.pairs, most));
    std::unique_ptr<VhostUserNet> card(new VhostUserNet(std::move(link), memory, options));
    TRY(card->begin());
    return card;
}

VhostUserNet::VhostUserNet(std::unique_ptr<VhostUserLink> link, GuestMemory& memory,
                           const VhostUserNetOptions& options)
    : VhostUserDevice(std::move(link), memory,
                      {.device_id = virtio::kDeviceNet,
                       .rings = static_cast<uint16_t>(2 * options.pairs),
                       .queue_size = kQueueSize,
                       .completes_soon = false}),
      options_(options) {}

uint64_t VhostUserNet::features() const {
    uint64_t bits = (backend_features() & kOfFrames) | kOurs;
    if (options_.pairs > 1) bits |= kMultiqueue;
    if (options_.mtu != 0) bits |= kFeatureMtu;
    return bits;
}

void VhostUserNet::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    std::copy(options_.address.bytes.begin(), options_.address.bytes.end(), config.mac);
    if (connected()) config.status |= kStatusLinkUp;
    if (announce_) config.status |= kStatusAnnounce;
    config.max_virtqueue_pairs = options_.pairs;
    config.mtu = options_.mtu;
    read_config_bytes(std::as_bytes(std::span(&config, 1)), offset, to);
}

void VhostUserNet::negotiated(uint64_t features) {
    active_pairs_ = 1;
    announce_ = false;
    VhostUserDevice::negotiated(features);
}

void VhostUserNet::reset() {
    active_pairs_ = 1;
    announce_ = false;
    VhostUserDevice::reset();
}

Result<void> VhostUserNet::prepare(VhostUserClient& client) {
    if (options_.mtu == 0 || !client.has(vhost_user::kProtocolMtu)) return {};
    return client.set_mtu(options_.mtu);
}

bool VhostUserNet::is_local(uint16_t queue) const {
    const bool all = (negotiated_features() & kMultiqueue) != 0;
    return queue == 2 * (all ? options_.pairs : 1) || queue == 2 * options_.pairs;
}

// The network on the other side may be another one: the driver makes itself known there.
void VhostUserNet::connection_changed() {
    if (connected() && (negotiated_features() & kFeatureGuestAnnounce) != 0) announce_ = true;
    tell_config_changed();
}

uint8_t VhostUserNet::set_pairs(uint16_t pairs) {
    if (pairs == 0 || pairs > options_.pairs) return kError;
    active_pairs_ = pairs;
    for (uint16_t queue = 0; queue < 2 * options_.pairs; ++queue)
        enable_ring(queue, on_at_start(queue));
    return kOk;
}

uint8_t VhostUserNet::control(SliceList& command) {
    Control header{};
    if (!command.take_front(std::as_writable_bytes(std::span(&header, 1)))) return kError;
    switch (header.control_class) {
        case kClassMultiqueue: {
            uint16_t pairs = 0;
            if (header.command != kPairsSet ||
                (negotiated_features() & kMultiqueue) == 0 ||
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

void VhostUserNet::serve_local(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        if (chain.writable.empty()) {
            queue.reject();  // nowhere to put an answer
            return;
        }
        const auto answer = static_cast<std::byte>(control(chain.readable));
        chain.writable.fill(std::span(&answer, 1));
        queue.wrote(chain.writable);
        queue.give_back(chain.head, 1);
    }
}

}  // namespace mynah
