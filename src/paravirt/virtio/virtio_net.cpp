#include "paravirt/virtio/virtio_net.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/network/ethernet.h"
#include "base/check.h"
#include "paravirt/virtio/config_bytes.h"
#include "paravirt/virtio/control_queue.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::net;

VirtioNet::VirtioNet(NetworkBackend& backend, const VirtioNetOptions& options)
    : backend_(backend),
      options_(options),
      transmit_offloads_(backend.transmit_offloads()),
      pairs_(options.pairs) {
    CHECK(options_.pairs >= 1 && options_.pairs <= kMaxPairs);
    CHECK(options_.mtu == 0 || options_.mtu >= kMinMtu);
    MutexLock lock(mutex_);
    filter_.address = options_.address;
}

VirtioNet::~VirtioNet() { backend_.set_sink(nullptr); }

uint32_t VirtioNet::device_id() const { return virtio::kDeviceNet; }

uint64_t VirtioNet::features() const {
    uint64_t bits = kGuestOffloads | kFeatureCtrlGuestOffloads | kFeatureMac | kFeatureMrgRxbuf |
                    kFeatureStatus | kFeatureCtrlVq | kFeatureCtrlRx | kFeatureCtrlVlan |
                    kFeatureCtrlRxExtra | kFeatureGuestAnnounce | kFeatureCtrlMacAddr;
    if (options_.mtu != 0) bits |= kFeatureMtu;
    if (options_.pairs > 1) bits |= kFeatureMq | (options_.rss ? kFeatureRss : 0);
    if (options_.hash_report) bits |= kFeatureHashReport;
    if (transmit_offloads_.checksum) {
        bits |= kFeatureCsum;
        if (transmit_offloads_.tcp4) bits |= kFeatureHostTso4;
        if (transmit_offloads_.tcp6) bits |= kFeatureHostTso6;
        if (transmit_offloads_.tcp4 || transmit_offloads_.tcp6) bits |= kFeatureHostEcn;
        if (transmit_offloads_.udp) bits |= kFeatureHostUso;
    }
    return bits;
}

uint16_t VirtioNet::queue_size_max(uint16_t queue) const {
    // Without multiqueue the third is the control queue, too.
    return queue + 1 == queue_count() ? kControlQueueSize : kQueueSize;
}

uint16_t VirtioNet::control_queue() const {
    return has(kFeatureMq | kFeatureRss) ? static_cast<uint16_t>(2 * options_.pairs) : kControlQueue;
}

void VirtioNet::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    {
        MutexLock lock(mutex_);
        std::copy(filter_.address.bytes.begin(), filter_.address.bytes.end(), config.mac);
        if (announce_) config.status |= kStatusAnnounce;
    }
    if (backend_.link_up()) config.status |= kStatusLinkUp;
    config.max_virtqueue_pairs = options_.pairs;
    config.mtu = options_.mtu;
    config.speed = kSpeedUnknown;
    config.duplex = kDuplexUnknown;
    if (options_.rss || options_.hash_report) {
        config.rss_key_most = NetHash::kKeyMost;
        config.rss_table_most = NetHash::kTableMost;
        config.hash_types = NetHash::kTypes;
    }
    read_config_bytes(config, offset, to);
}

// Only a legacy driver that has no command for it writes its address here [virtio-1.2 5.1.4.3].
void VirtioNet::write_config(uint64_t offset, std::span<const std::byte> from) {
    if (has(virtio::kFeatureVersion1) || has(kFeatureCtrlMacAddr)) return;
    MutexLock lock(mutex_);
    const auto address = std::as_writable_bytes(std::span(filter_.address.bytes));
    for (size_t i = 0; i < from.size() && offset + i < address.size(); ++i)
        address[offset + i] = from[i];
}

size_t VirtioNet::header_size() const {
    if (has(kFeatureHashReport)) return kHashHeaderSize;
    return has(virtio::kFeatureVersion1) || has(kFeatureMrgRxbuf) ? kHeaderSize : kNumBuffers;
}

void VirtioNet::negotiated(uint64_t features) {
    negotiated_.store(features, std::memory_order_relaxed);
    set_guest_offloads(features & kGuestOffloads);
    MutexLock lock(mutex_);
    filter_.filter_vlans = (features & kFeatureCtrlVlan) != 0;
}

// What the driver takes from now on; ECN and segmentation are nothing without checksums.
void VirtioNet::set_guest_offloads(uint64_t bits) {
    guest_offloads_.store(bits, std::memory_order_relaxed);
    NetworkOffloads offloads;
    offloads.checksum = (bits & kFeatureGuestCsum) != 0;
    offloads.tcp4 = offloads.checksum && (bits & kFeatureGuestTso4) != 0;
    offloads.tcp6 = offloads.checksum && (bits & kFeatureGuestTso6) != 0;
    // What comes does not say over which IP.
    constexpr uint64_t kBoth = kFeatureGuestUso4 | kFeatureGuestUso6;
    offloads.udp = offloads.checksum && (bits & kBoth) == kBoth;
    backend_.set_receive_offloads(offloads);
}

void VirtioNet::reset() {
    {
        MutexLock order(attach_mutex_);
        backend_.set_sink(nullptr);
        attached_ = false;
        for (Pair& pair : pairs_) {
            pair.receive = nullptr;
            pair.transmit = nullptr;
        }
        active_pairs_ = 1;
        steering_.clear();
    }
    negotiated_ = 0;
    set_guest_offloads(0);
    MutexLock lock(mutex_);
    filter_ = {};
    hash_ = {};
    filter_.address = options_.address;
    announce_ = false;
}

void VirtioNet::attach() {
    MutexLock order(attach_mutex_);
    if (attached_) return;
    attached_ = true;
    backend_.set_sink(this);
}

void VirtioNet::serve(VirtioQueue& queue) {
    const uint16_t index = queue.index();
    if (index == control_queue()) {
        serve_control_queue(queue, [this](SliceList& command) { return control(command); });
        return;
    }
    if (index / 2 >= options_.pairs) return;
    Pair& pair = pairs_[index / 2];
    if (index % 2 == kReceiveQueue) {
        pair.receive = &queue;
        attach();
        backend_.receive_ready();
    } else {
        pair.transmit = &queue;
        send(pair, queue);
    }
}

void VirtioNet::link_changed(bool) {
    if (VirtioDeviceEvents* events = events_) events->configuration_changed();
}

void VirtioNet::announce() {
    if (!has(kFeatureGuestAnnounce)) return;
    {
        MutexLock lock(mutex_);
        announce_ = true;
    }
    if (VirtioDeviceEvents* events = events_) events->configuration_changed();
}

// --- The control queue [virtio-1.2 5.1.6.5].

namespace {

// One of the two tables of MAC_TABLE_SET; false: it is longer than the command.
bool take_table(SliceList& from, std::vector<MacAddress>& table, bool& overflow) {
    uint32_t entries = 0;
    if (!from.take_front(std::as_writable_bytes(std::span(&entries, 1)))) return false;
    if (uint64_t{entries} * sizeof(MacAddress) > from.size()) return false;
    table.clear();
    overflow = entries > NetFilter::kMaxEntries;
    for (uint32_t i = 0; i < entries; ++i) {
        MacAddress address;
        if (!from.take_front(std::as_writable_bytes(std::span(address.bytes)))) return false;
        if (!overflow) table.push_back(address);
    }
    return true;
}

uint8_t set_receive_mode(NetFilter& filter, uint8_t command, SliceList& data) {
    bool* const modes[] = {&filter.promiscuous,  &filter.all_multicast, &filter.all_unicast,
                           &filter.no_multicast, &filter.no_unicast,    &filter.no_broadcast};
    uint8_t on = 0;
    if (command >= std::size(modes)) return kError;
    if (!data.take_front(std::as_writable_bytes(std::span(&on, 1)))) return kError;
    *modes[command] = on != 0;
    return kOk;
}

uint8_t set_addresses(NetFilter& filter, uint8_t command, SliceList& data) {
    if (command == kMacAddressSet) {
        MacAddress address;
        if (!data.take_front(std::as_writable_bytes(std::span(address.bytes)))) return kError;
        filter.address = address;
        return kOk;
    }
    if (command != kMacTableSet) return kError;
    NetFilter changed = filter;
    // A table as long as a whole queue's memory would keep a processor busy.
    constexpr uint64_t kLongest = 64 * 1024;
    if (data.size() > kLongest) return kError;
    if (!take_table(data, changed.unicast, changed.unicast_overflow)) return kError;
    if (!take_table(data, changed.multicast, changed.multicast_overflow)) return kError;
    filter = std::move(changed);
    return kOk;
}

uint8_t set_vlan(NetFilter& filter, uint8_t command, SliceList& data) {
    uint16_t id = 0;
    if (!data.take_front(std::as_writable_bytes(std::span(&id, 1)))) return kError;
    if (id >= NetFilter::kVlans || command > kVlanDelete) return kError;
    filter.vlans[id] = command == kVlanAdd;
    return kOk;
}

}  // namespace

// Where packets go [virtio-1.2 5.1.6.5.5, 5.1.6.5.7]: to the pairs of their flows, or by their
// hashes.
uint8_t VirtioNet::set_steering(uint8_t command, SliceList& data) {
    uint16_t pairs = 0;
    MutexLock lock(mutex_);
    switch (command) {
        case kMqPairsSet:
            if (!has(kFeatureMq) || !data.take_front(std::as_writable_bytes(std::span(&pairs, 1))))
                return kError;
            if (pairs == 0 || pairs > options_.pairs) return kError;
            hash_.stop_steering();
            active_pairs_ = pairs;
            return kOk;
        case kMqRssConfig:
            if (!has(kFeatureRss) || !hash_.set_steering(data, options_.pairs, pairs)) return kError;
            active_pairs_ = pairs;
            return kOk;
        case kMqHashConfig:
            return has(kFeatureHashReport) && hash_.set_report(data) ? kOk : kError;
        default:
            return kError;
    }
}

uint8_t VirtioNet::control(SliceList& data) {
    Control header{};
    if (!data.take_front(std::as_writable_bytes(std::span(&header, 1)))) return kError;
    if (header.control_class == kClassGuestOffloads) {
        uint64_t bits = 0;
        if (header.command != kGuestOffloadsSet || !has(kFeatureCtrlGuestOffloads)) return kError;
        if (!data.take_front(std::as_writable_bytes(std::span(&bits, 1)))) return kError;
        // Only what was negotiated [virtio-1.2 5.1.6.5.6.2].
        if ((bits & ~(negotiated_.load() & kGuestOffloads)) != 0) return kError;
        set_guest_offloads(bits);
        return kOk;
    }
    if (header.control_class == kClassMq) return set_steering(header.command, data);
    MutexLock lock(mutex_);
    switch (header.control_class) {
        case kClassRx:
            if (!has(header.command > kRxAllMulticast ? kFeatureCtrlRxExtra : kFeatureCtrlRx)) {
                return kError;
            }
            return set_receive_mode(filter_, header.command, data);
        case kClassMac:
            if (!has(header.command == kMacAddressSet ? kFeatureCtrlMacAddr : kFeatureCtrlRx)) {
                return kError;
            }
            return set_addresses(filter_, header.command, data);
        case kClassVlan:
            return has(kFeatureCtrlVlan) ? set_vlan(filter_, header.command, data) : kError;
        case kClassAnnounce:
            if (header.command != kAnnounceAcknowledge || !has(kFeatureGuestAnnounce)) {
                return kError;
            }
            announce_ = false;
            return kOk;
        default:
            return kError;
    }
}

}  // namespace mynah
