#include "testing/packet_builder.h"

#include <algorithm>
#include <cstring>

#include "backend/network/checksum.h"
#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"

namespace mynah::testing {

using namespace ethernet;

namespace {

std::vector<std::byte> begin_frame(const MacAddress& destination, const MacAddress& source,
                                   uint16_t type, size_t size) {
    std::vector<std::byte> frame(size);
    std::memcpy(frame.data(), destination.bytes.data(), kAddressSize);
    std::memcpy(frame.data() + kSource, source.bytes.data(), kAddressSize);
    store16(frame, kType, type);
    return frame;
}

void add_ipv4(std::span<std::byte> frame, const TcpPacket& packet, uint8_t protocol) {
    const auto ip = frame.subspan(kHeaderSize);
    ip[0] = std::byte{0x45};
    store16(ip, kIpv4Length, static_cast<uint16_t>(ip.size()));
    store16(ip, kIpv4Id, 0x1234);
    ip[8] = std::byte{64};
    ip[kIpv4Protocol] = static_cast<std::byte>(protocol);
    store32(ip, kIpv4Source, packet.source_address);
    store32(ip, kIpv4Source + 4, packet.destination_address);
    store16(ip, kIpv4Checksum, internet_checksum(ip.first(kIpv4MinHeader)));
}

void add_tcp(std::span<std::byte> frame, const TcpPacket& packet, size_t at) {
    const auto tcp = frame.subspan(at);
    store16(tcp, 0, packet.source_port);
    store16(tcp, 2, packet.destination_port);
    store32(tcp, kTcpSequence, packet.sequence);
    store32(tcp, kTcpAck, packet.acknowledged);
    tcp[kTcpDataOffset] = std::byte{0x50};
    tcp[kTcpFlags] = static_cast<std::byte>(packet.flags);
    store16(tcp, kTcpWindow, 0xffff);
    std::copy(packet.payload.begin(), packet.payload.end(), tcp.begin() + kTcpMinHeader);
}

size_t checksum_place(const PacketHeaders& headers) {
    return headers.transport + (headers.protocol == kProtocolTcp ? kTcpChecksum : kUdpChecksum);
}

void complete(std::span<std::byte> frame) {
    make_checksum_partial(frame);
    const PacketHeaders headers = *find_headers(frame);
    store16(frame, checksum_place(headers),
            internet_checksum(frame.subspan(headers.transport, headers.end - headers.transport)));
}

}  // namespace

void make_checksum_partial(std::span<std::byte> frame) {
    const PacketHeaders headers = *find_headers(frame);
    store16(frame, checksum_place(headers),
            pseudo_header_sum(frame, headers, headers.end - headers.transport));
}

std::vector<std::byte> make_tcp4(const TcpPacket& packet) {
    constexpr size_t kTcp = kHeaderSize + kIpv4MinHeader;
    auto frame = begin_frame(packet.destination, packet.source, kTypeIpv4,
                             kTcp + kTcpMinHeader + packet.payload.size());
    add_ipv4(frame, packet, kProtocolTcp);
    add_tcp(frame, packet, kTcp);
    complete(frame);
    return frame;
}

std::vector<std::byte> make_tcp6(const TcpPacket& packet) {
    constexpr size_t kTcp = kHeaderSize + kIpv6Header;
    auto frame = begin_frame(packet.destination, packet.source, kTypeIpv6,
                             kTcp + kTcpMinHeader + packet.payload.size());
    const auto ip = std::span(frame).subspan(kHeaderSize);
    ip[0] = std::byte{0x60};
    store16(ip, kIpv6Length, static_cast<uint16_t>(ip.size() - kIpv6Header));
    ip[kIpv6Next] = std::byte{kProtocolTcp};
    ip[7] = std::byte{64};
    store16(ip, kIpv6Source, 0xfec0);
    store32(ip, kIpv6Source + 12, packet.source_address);
    store16(ip, kIpv6Source + 16, 0xfec0);
    store32(ip, kIpv6Source + 28, packet.destination_address);
    add_tcp(frame, packet, kTcp);
    complete(frame);
    return frame;
}

std::vector<std::byte> make_udp4(const TcpPacket& packet) {
    constexpr size_t kUdp = kHeaderSize + kIpv4MinHeader;
    auto frame = begin_frame(packet.destination, packet.source, kTypeIpv4,
                             kUdp + kUdpHeader + packet.payload.size());
    add_ipv4(frame, packet, kProtocolUdp);
    const auto udp = std::span(frame).subspan(kUdp);
    store16(udp, 0, packet.source_port);
    store16(udp, 2, packet.destination_port);
    store16(udp, kUdpLength, static_cast<uint16_t>(udp.size()));
    std::copy(packet.payload.begin(), packet.payload.end(), udp.begin() + kUdpHeader);
    complete(frame);
    return frame;
}

std::vector<std::byte> make_arp_request(const MacAddress& source, uint32_t source_address,
                                        uint32_t wanted_address) {
    auto frame = begin_frame(kBroadcastAddress, source, kTypeArp, kHeaderSize + 28);
    const auto arp = std::span(frame).subspan(kHeaderSize);
    store16(arp, 0, 1);  // Ethernet [RFC 826]
    store16(arp, 2, kTypeIpv4);
    arp[4] = std::byte{6};
    arp[5] = std::byte{4};
    store16(arp, 6, 1);  // request
    std::memcpy(arp.data() + 8, source.bytes.data(), kAddressSize);
    store32(arp, 14, source_address);
    store32(arp, 24, wanted_address);
    return frame;
}

std::vector<std::byte> make_frame(const MacAddress& destination, const MacAddress& source,
                                  size_t size, uint8_t seed) {
    auto frame = begin_frame(destination, source, 0x88b5, size);  // a type for experiments
    for (size_t i = kHeaderSize; i < size; ++i) {
        frame[i] = static_cast<std::byte>(i * 7 + seed + (i >> 8));
    }
    return frame;
}

std::vector<std::byte> to_bytes(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

bool checksums_good(std::span<const std::byte> frame) {
    const auto headers = find_headers(frame);
    if (!headers) return false;
    const size_t length = headers->end - headers->transport;
    InternetSum sum;
    sum.add16(pseudo_header_sum(frame, *headers, length));
    sum.add(frame.subspan(headers->transport, length));
    if (sum.checksum() != 0) return false;
    return headers->ipv6 || internet_checksum(frame.subspan(
                                headers->network, headers->transport - headers->network)) == 0;
}

}  // namespace mynah::testing
