#include "paravirt/virtio/net_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/network/ethernet.h"
#include "spec/virtio/net.h"

namespace mynah {

using namespace ethernet;

namespace {

// What of a packet can be hashed, as it lies in the frame.
struct Fields {
    bool ipv6 = false;
    std::span<const std::byte> addresses = {};  // source, then destination; empty: not IP
    std::span<const std::byte> ports = {};      // the same; empty: neither TCP nor UDP, or unknown
    uint8_t protocol = 0;
};

constexpr uint8_t kHopByHop = 0, kRouting = 43, kDestination = 60;  // IPv6 extension headers

std::span<const std::byte> part(std::span<const std::byte> from, size_t at, size_t size) {
    return at + size <= from.size() ? from.subspan(at, size) : std::span<const std::byte>();
}

// Extension headers are skipped [virtio-1.2 5.1.6.4.3.4]; one that is not known, a fragment's among
// them, leaves the addresses.
void find_ipv6_ports(std::span<const std::byte> packet, Fields& fields) {
    uint8_t next = static_cast<uint8_t>(packet[kIpv6Next]);
    size_t at = kIpv6Header;
    while (next == kHopByHop || next == kRouting || next == kDestination) {
        if (at + 2 > packet.size()) return;
        next = static_cast<uint8_t>(packet[at]);
        at += (static_cast<size_t>(packet[at + 1]) + 1) * 8;
    }
    fields.protocol = next;
    fields.ports = part(packet, at, 4);
}

Fields find_fields(std::span<const std::byte> frame) {
    Fields fields;
    size_t at = kType;
    if (frame.size() >= at + 2 + kVlanTagSize && load16(frame, at) == kTypeVlan) at += kVlanTagSize;
    if (frame.size() < at + 2) return fields;
    const uint16_t type = load16(frame, at);
    const std::span<const std::byte> packet = frame.subspan(at + 2);
    if (type == kTypeIpv4 && packet.size() >= kIpv4MinHeader) {
        fields.addresses = part(packet, kIpv4Source, 8);
        if ((load16(packet, kIpv4Fragment) & kIpv4FragmentMask) != 0) return fields;
        fields.protocol = static_cast<uint8_t>(packet[kIpv4Protocol]);
        fields.ports = part(packet, (static_cast<size_t>(packet[0]) & 0xf) * 4, 4);
    } else if (type == kTypeIpv6 && packet.size() >= kIpv6Header) {
        fields.ipv6 = true;
        fields.addresses = part(packet, kIpv6Source, 32);
        find_ipv6_ports(packet, fields);
    }
    return fields;
}

template <typename T>
bool take(SliceList& from, T& value) {
    return from.take_front(std::as_writable_bytes(std::span(&value, 1)));
}

}  // namespace

uint32_t NetHash::toeplitz(std::span<const uint8_t> key, std::span<const std::byte> input) {
    const auto key_byte = [key](size_t at) { return at < key.size() ? key[at] : uint8_t{0}; };
    // The 32 bits that are added now are the upper ones; below them come the next eight.
    uint64_t window = 0;
    for (size_t i = 0; i < 4; ++i) window = window << 8 | key_byte(i);
    window <<= 8;
    uint32_t hash = 0;
    for (size_t i = 0; i < input.size(); ++i) {
        window |= key_byte(i + 4);
        const auto byte = static_cast<unsigned>(input[i]);
        for (unsigned bit = 0; bit < 8; ++bit) {
            // All ones or none: the input is the network's choice, and branches would be missed.
            const uint32_t mask = 0u - (byte >> (7 - bit) & 1);
            hash ^= static_cast<uint32_t>(window >> 8) & mask;
            window <<= 1;
        }
        window &= 0xffffffffff;
    }
    return hash;
}

NetHash::Result NetHash::make(std::span<const std::byte> input, Report report) const {
    return {toeplitz(std::span(key_.bytes).first(key_.length), input), report};
}

NetHash::Result NetHash::of(std::span<const std::byte> frame) const {
    if (types_ == 0) return {};
    const Fields fields = find_fields(frame);
    if (fields.addresses.empty()) return {};
    // Of IPv4 the types begin at bit 0, of IPv6 at bit 3, and the reports go with them: the type
    // with the most fields comes first.
    const unsigned first = fields.ipv6 ? 3 : 0;
    const auto wanted = [&](unsigned offset) { return (types_ >> (first + offset) & 1) != 0; };
    const auto report = [&](unsigned offset) { return static_cast<Report>(first + offset + 1); };
    const unsigned transport = fields.protocol == kProtocolTcp   ? 1
                               : fields.protocol == kProtocolUdp ? 2
                                                                 : 0;
    if (transport != 0 && !fields.ports.empty() && wanted(transport)) {
        std::array<std::byte, 36> input;
        const auto end = std::ranges::copy(fields.addresses, input.begin()).out;
        std::ranges::copy(fields.ports, end);
        return make(std::span(input).first(fields.addresses.size() + fields.ports.size()),
                    report(transport));
    }
    return wanted(0) ? make(fields.addresses, report(0)) : Result{};
}

std::optional<uint16_t> NetHash::pair_for(const Result& hash) const {
    if (table_.empty()) return std::nullopt;
    if (hash.report == Report::kNone) return unclassified_;
    return table_[hash.value & (table_.size() - 1)];
}

bool NetHash::take_key(SliceList& data, Key& key) {
    return take(data, key.length) && key.length <= kKeyMost &&
           data.take_front(std::as_writable_bytes(std::span(key.bytes).first(key.length)));
}

bool NetHash::set_steering(SliceList& data, uint16_t pairs, uint16_t& transmit_pairs) {
    virtio::net::RssConfig config{};
    if (!take(data, config) || (config.hash_types & ~kTypes) != 0) return false;
    const size_t entries = size_t{config.table_mask} + 1;
    if (!std::has_single_bit(entries) || entries > kTableMost) return false;
    std::vector<uint16_t> table(entries);
    uint16_t transmit = 0;
    Key key;
    if (!data.take_front(std::as_writable_bytes(std::span(table))) || !take(data, transmit) ||
        !take_key(data, key)) {
        return false;
    }
    const auto is_pair = [pairs](uint16_t pair) { return pair < pairs; };
    if (!is_pair(config.unclassified) || !std::ranges::all_of(table, is_pair) || transmit == 0 ||
        transmit > pairs) {
        return false;
    }
    types_ = config.hash_types;
    key_ = key;
    table_ = std::move(table);
    unclassified_ = config.unclassified;
    transmit_pairs = transmit;
    return true;
}

bool NetHash::set_report(SliceList& data) {
    virtio::net::HashConfig config{};
    Key key;
    if (!take(data, config) || (config.hash_types & ~kTypes) != 0 || !take_key(data, key))
        return false;
    types_ = config.hash_types;
    key_ = key;
    return true;
}

}  // namespace mynah
