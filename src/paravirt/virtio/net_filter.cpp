#include "paravirt/virtio/net_filter.h"

#include <algorithm>
#include <cstring>

#include "backend/network/ethernet.h"

namespace mynah {

bool NetFilter::accepts_address(const MacAddress& destination) const {
    if (promiscuous) return true;
    const auto listed = [&](const std::vector<MacAddress>& table) {
        return std::find(table.begin(), table.end(), destination) != table.end();
    };
    if (destination == kBroadcastAddress) return !no_broadcast;
    if (destination.is_group()) {
        if (no_multicast) return false;
        return all_multicast || multicast_overflow || listed(multicast);
    }
    if (no_unicast) return false;
    return all_unicast || unicast_overflow || destination == address || listed(unicast);
}

bool NetFilter::accepts(std::span<const std::byte> frame) const {
    if (frame.size() < ethernet::kHeaderSize) return false;
    if (filter_vlans && frame.size() >= ethernet::kHeaderSize + 2 &&
        ethernet::load16(frame, ethernet::kType) == ethernet::kTypeVlan &&
        !vlans[ethernet::load16(frame, ethernet::kHeaderSize) % kVlans]) {
        return false;
    }
    MacAddress destination;
    std::memcpy(destination.bytes.data(), frame.data(), destination.bytes.size());
    return accepts_address(destination);
}

}  // namespace mynah
