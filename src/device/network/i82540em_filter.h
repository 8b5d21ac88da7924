#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/network/mac_address.h"
#include "device/network/i82540em_registers.h"

namespace mynah::i82540em {

// Which frames are for us [8254x 3.2.1, 10.x, 13.5]: exact addresses, a hash of multicast
// addresses, VLANs. Single-threaded.
struct ReceiveFilter {
    struct Address {
        uint32_t low = 0, high = 0;  // RAL, RAH
    };
    std::array<Address, kReceiveAddresses> addresses{};
    std::array<uint32_t, kMtaWords> multicast{};
    std::array<uint32_t, kVftaWords> vlans{};

    void set_address(unsigned index, const MacAddress& address);
    // frame: at least an Ethernet header. vlan_type: VET.
    bool accepts(std::span<const std::byte> frame, uint32_t rctl, uint16_t vlan_type) const;

  private:
    bool accepts_address(const MacAddress& destination, uint32_t rctl) const;
    bool accepts_vlan(std::span<const std::byte> frame, uint32_t rctl, uint16_t vlan_type) const;
};

MacAddress destination_of(std::span<const std::byte> frame);

}  // namespace mynah::i82540em
