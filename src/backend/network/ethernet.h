#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Layouts of the frames and packets that back ends and network cards must look into. All numbers
// are big-endian. [802.3], [802.1Q], [RFC 791] IPv4, [RFC 8200] IPv6, [RFC 9293] TCP, [RFC 768]
// UDP.
namespace mynah::ethernet {

// A frame is destination, source, type, payload; without preamble and check sequence.
inline constexpr size_t kDestination = 0, kSource = 6, kType = 12, kHeaderSize = 14;
inline constexpr size_t kAddressSize = 6;
inline constexpr size_t kMinFrame = 60;    // shorter ones are padded on the wire [802.3 4.2.3.3]
inline constexpr size_t kMaxFrame = 1514;  // without a VLAN tag
inline constexpr size_t kVlanTagSize = 4;
inline constexpr size_t kCheckSequenceSize = 4;
inline constexpr size_t kDefaultMtu = 1500;
// The longest thing that moves between a card and its back end: a packet of 64 KiB that is to be
// segmented, with header and tag.
inline constexpr size_t kMaxSuperFrame = 65535 + kHeaderSize + kVlanTagSize;

inline constexpr uint16_t kTypeIpv4 = 0x0800, kTypeArp = 0x0806, kTypeVlan = 0x8100;
inline constexpr uint16_t kTypeIpv6 = 0x86dd;

inline constexpr size_t kIpv4MinHeader = 20, kIpv6Header = 40, kTcpMinHeader = 20, kUdpHeader = 8;
// Offsets within an IPv4 header.
inline constexpr size_t kIpv4Length = 2, kIpv4Id = 4, kIpv4Fragment = 6, kIpv4Protocol = 9,
                        kIpv4Checksum = 10, kIpv4Source = 12;
inline constexpr uint16_t kIpv4FragmentMask = 0x3fff;  // offset and more-fragments
// Within an IPv6 header.
inline constexpr size_t kIpv6Length = 4, kIpv6Next = 6, kIpv6Source = 8;
// Within a TCP header.
inline constexpr size_t kTcpSequence = 4, kTcpAck = 8, kTcpDataOffset = 12, kTcpFlags = 13,
                        kTcpWindow = 14, kTcpChecksum = 16;
inline constexpr uint8_t kTcpFin = 0x01, kTcpSyn = 0x02, kTcpRst = 0x04, kTcpPsh = 0x08,
                         kTcpAckFlag = 0x10, kTcpCwr = 0x80;
// Within a UDP header.
inline constexpr size_t kUdpLength = 4, kUdpChecksum = 6;
inline constexpr uint8_t kProtocolTcp = 6, kProtocolUdp = 17;

inline uint16_t load16(std::span<const std::byte> bytes, size_t at) {
    return static_cast<uint16_t>(static_cast<unsigned>(bytes[at]) << 8 |
                                 static_cast<unsigned>(bytes[at + 1]));
}
inline void store16(std::span<std::byte> bytes, size_t at, uint16_t value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value);
}
inline uint32_t load32(std::span<const std::byte> bytes, size_t at) {
    return uint32_t{load16(bytes, at)} << 16 | load16(bytes, at + 2);
}
inline void store32(std::span<std::byte> bytes, size_t at, uint32_t value) {
    store16(bytes, at, static_cast<uint16_t>(value >> 16));
    store16(bytes, at + 2, static_cast<uint16_t>(value));
}

}  // namespace mynah::ethernet
