#include "backend/network/segmentation.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "backend/network/checksum.h"
#include "backend/network/ethernet.h"

namespace mynah {

using namespace ethernet;
using Bytes = std::span<const std::byte>;

namespace {

uint8_t byte_at(Bytes bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

bool find_ipv4(Bytes frame, PacketHeaders& found) {
    const size_t at = found.network;
    if (frame.size() < at + kIpv4MinHeader || byte_at(frame, at) >> 4 != 4) return false;
    const size_t header = size_t{byte_at(frame, at) & 15u} * 4;
    const size_t length = load16(frame, at + kIpv4Length);
    if (header < kIpv4MinHeader || length < header || frame.size() < at + length) return false;
    if ((load16(frame, at + kIpv4Fragment) & kIpv4FragmentMask) != 0) return false;
    found.protocol = byte_at(frame, at + kIpv4Protocol);
    found.transport = at + header;
    found.end = at + length;
    return true;
}

bool find_ipv6(Bytes frame, PacketHeaders& found) {
    const size_t at = found.network;
    if (frame.size() < at + kIpv6Header || byte_at(frame, at) >> 4 != 6) return false;
    found.ipv6 = true;
    found.protocol = byte_at(frame, at + kIpv6Next);
    found.transport = at + kIpv6Header;
    found.end = found.transport + load16(frame, at + kIpv6Length);
    return found.end <= frame.size();
}

}  // namespace

std::optional<PacketHeaders> find_headers(Bytes frame) {
    constexpr int kMostTags = 2;
    if (frame.size() < kHeaderSize) return std::nullopt;
    size_t type_at = kType;
    for (int tags = 0; tags < kMostTags && load16(frame, type_at) == kTypeVlan; ++tags) {
        type_at += kVlanTagSize;
        if (frame.size() < type_at + 2) return std::nullopt;
    }
    PacketHeaders found;
    found.network = type_at + 2;
    const uint16_t type = load16(frame, type_at);
    if (type == kTypeIpv4 ? !find_ipv4(frame, found)
                          : type != kTypeIpv6 || !find_ipv6(frame, found)) {
        return std::nullopt;
    }
    if (found.protocol == kProtocolUdp) {
        found.payload = found.transport + kUdpHeader;
    } else if (found.protocol == kProtocolTcp && found.transport + kTcpMinHeader <= found.end) {
        const size_t size = size_t{byte_at(frame, found.transport + kTcpDataOffset)} / 16 * 4;
        if (size < kTcpMinHeader) return std::nullopt;
        found.payload = found.transport + size;
    } else {
        return std::nullopt;
    }
    if (found.payload > found.end) return std::nullopt;
    return found;
}

uint16_t pseudo_header_sum(Bytes frame, const PacketHeaders& headers, size_t length) {
    InternetSum sum;
    if (headers.ipv6) {
        sum.add(frame.subspan(headers.network + kIpv6Source, 32));
    } else {
        sum.add(frame.subspan(headers.network + kIpv4Source, 8));
    }
    sum.add16(headers.protocol);
    sum.add16(static_cast<uint16_t>(length));
    sum.add16(static_cast<uint16_t>(length >> 16));
    return sum.folded();
}

void complete_checksum(std::span<std::byte> frame, const FrameOffload& offload) {
    const size_t place = size_t{offload.checksum_start} + offload.checksum_offset;
    if (place + 2 > frame.size()) return;
    uint16_t checksum = internet_checksum(frame.subspan(offload.checksum_start));
    // A UDP checksum of zero means that there is none [RFC 768]; TCP takes either.
    if (checksum == 0) checksum = 0xffff;
    store16(frame, place, checksum);
}

namespace {

// A TCP or UDP packet being cut up: its headers serve every segment.
class Segmenter {
  public:
    Segmenter(std::span<std::byte> frame, const PacketHeaders& headers, const FrameOffload& offload)
        : frame_(frame), headers_(headers), offload_(offload), id_(0) {
        if (!headers.ipv6) id_ = load16(frame, headers.network + kIpv4Id);
        if (headers.protocol == kProtocolUdp) return;
        sequence_ = load32(frame, headers.transport + kTcpSequence);
        flags_ = byte_at(frame, headers.transport + kTcpFlags);
    }

    void run(const std::function<void(Bytes)>& emit) {
        const size_t payload = headers_.end - headers_.payload;
        std::vector<std::byte> segment(headers_.payload + offload_.segment_size);
        for (size_t done = 0; done < payload;) {
            const size_t part = std::min<size_t>(offload_.segment_size, payload - done);
            const std::span<std::byte> out = std::span(segment).first(headers_.payload + part);
            std::memcpy(out.data(), frame_.data(), headers_.payload);
            std::memcpy(out.data() + headers_.payload, frame_.data() + headers_.payload + done,
                        part);
            finish_headers(out, done, done + part == payload);
            emit(out);
            done += part;
        }
    }

  private:
    void finish_headers(std::span<std::byte> out, size_t done, bool last) {
        const size_t network = headers_.network, transport = headers_.transport;
        if (headers_.ipv6) {
            store16(out, network + kIpv6Length, static_cast<uint16_t>(out.size() - transport));
        } else {
            store16(out, network + kIpv4Length, static_cast<uint16_t>(out.size() - network));
            store16(out, network + kIpv4Id, id_++);
            store16(out, network + kIpv4Checksum, 0);
            store16(out, network + kIpv4Checksum,
                    internet_checksum(out.subspan(network, transport - network)));
        }
        const bool udp = headers_.protocol == kProtocolUdp;
        if (udp) {
            store16(out, transport + kUdpLength, static_cast<uint16_t>(out.size() - transport));
        } else {
            finish_tcp(out.subspan(transport), done, last);
        }
        const size_t checksum = transport + (udp ? kUdpChecksum : kTcpChecksum);
        store16(out, checksum, pseudo_header_sum(out, headers_, out.size() - transport));
        const uint16_t sum = internet_checksum(out.subspan(transport));
        // UDP's zero means that there is none [RFC 768].
        store16(out, checksum, udp && sum == 0 ? uint16_t{0xffff} : sum);
    }
    void finish_tcp(std::span<std::byte> tcp, size_t done, bool last) {
        store32(tcp, kTcpSequence, sequence_ + static_cast<uint32_t>(done));
        uint8_t flags = flags_;
        if (!last) flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
        if (done > 0) flags &= static_cast<uint8_t>(~kTcpCwr);  // [RFC 3168 6.1.2]
        tcp[kTcpFlags] = static_cast<std::byte>(flags);
    }

    std::span<std::byte> frame_;
    const PacketHeaders headers_;
    const FrameOffload offload_;
    uint16_t id_;
    uint32_t sequence_ = 0;
    uint8_t flags_ = 0;
};

}  // namespace

void complete_frame(std::span<std::byte> frame, const FrameOffload& offload,
                    const std::function<void(Bytes)>& emit) {
    if (offload.segmentation != FrameOffload::Segmentation::kNone && offload.segment_size > 0) {
        const auto headers = find_headers(frame);
        const bool udp = offload.segmentation == FrameOffload::Segmentation::kUdp;
        if (headers && headers->protocol == (udp ? kProtocolUdp : kProtocolTcp) &&
            headers->end - headers->payload > offload.segment_size) {
            Segmenter(frame, *headers, offload).run(emit);
            return;
        }
    }
    if (offload.needs_checksum) complete_checksum(frame, offload);
    emit(frame);
}

bool gather_frame(const NetworkFrame& frame, std::span<std::byte> to) {
    if (frame.size > to.size()) return false;
    for (const Slice piece : frame.pieces) {
        if (piece.size() > to.size()) return false;
        std::memcpy(to.data(), piece.data(), piece.size());
        to = to.subspan(piece.size());
    }
    return true;
}

}  // namespace mynah
