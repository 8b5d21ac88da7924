#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "backend/network/mac_address.h"

namespace mynah::testing {

// Frames as a guest's network stack would build them.
struct TcpPacket {
    MacAddress source, destination;
    uint32_t source_address = 0, destination_address = 0;
    uint16_t source_port = 0, destination_port = 0;
    uint32_t sequence = 0, acknowledged = 0;
    uint8_t flags = 0;
    std::vector<std::byte> payload;
};
std::vector<std::byte> make_tcp4(const TcpPacket& packet);
std::vector<std::byte> make_tcp6(const TcpPacket& packet);  // addresses fec0::<32 bits>
std::vector<std::byte> make_udp4(const TcpPacket& packet);
std::vector<std::byte> make_arp_request(const MacAddress& source, uint32_t source_address,
                                        uint32_t wanted_address);

// A frame of this size with a recognizable content.
std::vector<std::byte> make_frame(const MacAddress& destination, const MacAddress& source,
                                  size_t size, uint8_t seed = 1);
std::vector<std::byte> to_bytes(std::string_view text);

// Both checksums of a TCP or UDP packet over IP are right.
bool checksums_good(std::span<const std::byte> frame);
// Replaces the TCP or UDP checksum by the sum over the pseudo-header, as for offload.
void make_checksum_partial(std::span<std::byte> frame);

}  // namespace mynah::testing
