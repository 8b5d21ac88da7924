#include "device/network/i82540em_filter.h"

#include <cstring>

#include "backend/network/ethernet.h"

namespace mynah::i82540em {

MacAddress destination_of(std::span<const std::byte> frame) {
    MacAddress address;
    std::memcpy(address.bytes.data(), frame.data(), address.bytes.size());
    return address;
}

void ReceiveFilter::set_address(unsigned index, const MacAddress& address) {
    std::memcpy(&addresses[index].low, address.bytes.data(), 4);
    addresses[index].high = kRahValid | uint32_t{address.bytes[5]} << 8 | address.bytes[4];
}

bool ReceiveFilter::accepts_address(const MacAddress& destination, uint32_t rctl) const {
    const bool group = destination.is_group();
    if (!group && (rctl & kRctlUpe) != 0) return true;
    if (group && (rctl & kRctlMpe) != 0) return true;
    if (destination == kBroadcastAddress && (rctl & kRctlBam) != 0) return true;
    uint32_t low, high = 0;
    std::memcpy(&low, destination.bytes.data(), 4);
    std::memcpy(&high, destination.bytes.data() + 4, 2);
    for (const Address& each : addresses) {
        if ((each.high & kRahValid) != 0 && each.low == low && (each.high & 0xffff) == high) {
            return true;
        }
    }
    if (!group) return false;
    // Twelve bits of the last two bytes, chosen by MO [8254x 13.5.1].
    constexpr unsigned kShifts[] = {4, 3, 2, 0};
    const unsigned last = destination.bytes[5] * 256u + destination.bytes[4];
    const unsigned hash = last >> kShifts[RctlMo::get(rctl)] & 0xfff;
    return (multicast[hash >> 5] >> (hash & 31) & 1) != 0;
}

bool ReceiveFilter::accepts_vlan(std::span<const std::byte> frame, uint32_t rctl,
                                 uint16_t vlan_type) const {
    if ((rctl & kRctlVfe) == 0) return true;
    if (frame.size() < ethernet::kHeaderSize + ethernet::kVlanTagSize) return true;
    if (ethernet::load16(frame, ethernet::kType) != vlan_type) return true;
    const uint16_t tag = ethernet::load16(frame, ethernet::kHeaderSize);
    if ((rctl & kRctlCfien) != 0 && ((tag >> 12 & 1) != 0) != ((rctl & kRctlCfi) != 0)) {
        return false;
    }
    const unsigned id = tag & 0xfffu;
    return (vlans[id >> 5] >> (id & 31) & 1) != 0;
}

bool ReceiveFilter::accepts(std::span<const std::byte> frame, uint32_t rctl,
                            uint16_t vlan_type) const {
    return accepts_vlan(frame, rctl, vlan_type) && accepts_address(destination_of(frame), rctl);
}

}  // namespace mynah::i82540em
