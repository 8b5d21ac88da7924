#include "paravirt/virtio/net_steering.h"

#include "backend/network/ethernet.h"

namespace mynah {

namespace {

using namespace ethernet;

// Source and destination next to each other, `size` bytes each: order does not matter.
uint32_t fold(std::span<const std::byte> pair, size_t size) {
    uint32_t sum = 0, mixed = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        const uint32_t a = load16(pair, i), b = load16(pair, size + i);
        sum += a + b;
        mixed ^= (a ^ b) << (i % 16);
    }
    return sum * 0x9e3779b1u ^ mixed;
}

}  // namespace

uint32_t NetSteering::flow_hash(std::span<const std::byte> frame) {
    size_t at = kType;
    if (frame.size() >= at + 2 + kVlanTagSize && load16(frame, at) == kTypeVlan) at += kVlanTagSize;
    if (frame.size() < at + 2) return 0;
    const uint16_t type = load16(frame, at);
    const std::span<const std::byte> packet = frame.subspan(at + 2);
    uint32_t hash = 0;
    uint8_t protocol = 0;
    size_t transport = 0;
    if (type == kTypeIpv4 && packet.size() >= kIpv4MinHeader) {
        hash = fold(packet.subspan(kIpv4Source), 4);
        const bool fragment = (load16(packet, kIpv4Fragment) & kIpv4FragmentMask) != 0;
        if (!fragment) protocol = static_cast<uint8_t>(packet[kIpv4Protocol]);
        transport = (static_cast<size_t>(packet[0]) & 0xf) * 4;
    } else if (type == kTypeIpv6 && packet.size() >= kIpv6Header) {
        hash = fold(packet.subspan(kIpv6Source), 16);
        protocol = static_cast<uint8_t>(packet[kIpv6Next]);
        transport = kIpv6Header;
    } else {
        return 0;
    }
    const bool ports = protocol == kProtocolTcp || protocol == kProtocolUdp;
    if (ports && packet.size() >= transport + 4) hash ^= fold(packet.subspan(transport), 2) * 31;
    hash ^= hash >> 15;
    return hash * 0x85ebca6bu ^ protocol;
}

void NetSteering::sent(std::span<const std::byte> frame, uint16_t pair) {
    auto& entry = pair_of_[flow_hash(frame) % kFlows];
    const auto value = static_cast<uint8_t>(pair + 1);
    // Not written again and again: the line is shared by all processors.
    if (entry.load(std::memory_order_relaxed) != value)
        entry.store(value, std::memory_order_relaxed);
}

uint16_t NetSteering::choose(std::span<const std::byte> frame, uint16_t pairs) const {
    if (pairs == 1) return 0;
    const uint32_t hash = flow_hash(frame);
    const uint8_t known = pair_of_[hash % kFlows].load(std::memory_order_relaxed);
    if (known != 0 && known <= pairs) return static_cast<uint16_t>(known - 1);
    return static_cast<uint16_t>((hash >> 16) % pairs);
}

void NetSteering::clear() {
    for (auto& entry : pair_of_) entry.store(0, std::memory_order_relaxed);
}

}  // namespace mynah
