#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/network/mac_address.h"

namespace mynah {

// Which frames a virtio network device passes on [virtio-1.2 5.1.6.5.1 to 5.1.6.5.3].
// Single-threaded.
struct NetFilter {
    static constexpr size_t kMaxEntries = 64;  // of each table; with more, all of its kind pass
    static constexpr unsigned kVlans = 4096;

    MacAddress address;
    bool promiscuous = true, all_multicast = false, all_unicast = false;
    bool no_multicast = false, no_unicast = false, no_broadcast = false;
    std::vector<MacAddress> unicast, multicast;
    bool unicast_overflow = false, multicast_overflow = false;
    bool filter_vlans = false;
    std::bitset<kVlans> vlans;

    // frame: the first bytes, at least the Ethernet header and a tag if there is one.
    bool accepts(std::span<const std::byte> frame) const;

  private:
    bool accepts_address(const MacAddress& destination) const;
};

}  // namespace mynah
