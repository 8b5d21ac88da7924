#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mynah {

// A 48-bit Ethernet address, bytes in the order of the wire [802.3 3.2.3].
struct MacAddress {
    std::array<uint8_t, 6> bytes{};

    bool is_group() const { return (bytes[0] & 1) != 0; }  // multicast or broadcast
    auto operator<=>(const MacAddress&) const = default;

    std::string text() const;  // 52:54:00:12:34:56
    // Six hexadecimal bytes with colons or dashes. Error: a clause that says what was expected; a
    // group address is no station's.
    static Result<MacAddress> parse(std::string_view text);
    // The address of a card nobody named: the same for the same machine and card each time, so
    // that a guest which remembers its cards finds them again.
    static MacAddress for_card(std::string_view machine, unsigned card);
};

inline constexpr MacAddress kBroadcastAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

}  // namespace mynah
