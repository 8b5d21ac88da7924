#include "backend/network/mac_address.h"

#include <fmt/core.h>

#include <charconv>

namespace mynah {

std::string MacAddress::text() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                       bytes[3], bytes[4], bytes[5]);
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
    constexpr size_t kLength = 17;
    const Error expected("expected six hexadecimal bytes such as 52:54:00:12:34:56");
    if (text.size() != kLength) return expected;
    MacAddress address;
    for (size_t i = 0; i < address.bytes.size(); ++i) {
        const std::string_view digits = text.substr(3 * i, 2);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + 2, address.bytes[i], 16);
        if (error != std::errc() || end != digits.data() + 2) return expected;
        if (i > 0 && text[3 * i - 1] != ':' && text[3 * i - 1] != '-') return expected;
    }
    if (address.is_group()) {
        return Error("is a multicast address; expected one with an even first byte");
    }
    if (address == MacAddress{}) return Error("is nobody's address; expected one that is not zero");
    return address;
}

MacAddress MacAddress::for_card(std::string_view machine, unsigned card) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, which spreads short names well enough
    const auto mix = [&hash](uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
    for (const char c : machine) mix(static_cast<uint8_t>(c));
    mix(0);
    mix(static_cast<uint8_t>(card));
    mix(static_cast<uint8_t>(card >> 8));
    hash ^= hash >> 32;
    return {{0x52, 0x54, 0x00, static_cast<uint8_t>(hash >> 16), static_cast<uint8_t>(hash >> 8),
             static_cast<uint8_t>(hash)}};
}

}  // namespace mynah
