#include "device/network/i82540em_receiver.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/network/checksum.h"
#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"

namespace mynah::i82540em {

using namespace ethernet;

namespace {

// A frame's check sequence is handed on unless SECRC says otherwise. Frames carry none here, so
// drivers, which do not look at it, get zeroes.
constexpr std::array<std::byte, kCheckSequenceSize> kCheckSequence{};

size_t stored_size(size_t frame_size, uint32_t rctl) {
    return frame_size + ((rctl & kRctlSecrc) != 0 ? 0 : kCheckSequenceSize);
}

struct Verdict {
    uint8_t status = kRxIxsm, errors = 0;
};

// [8254x 3.2.3.1, 3.2.9]: of IPv4 packets that are no fragments.
Verdict judge_checksums(std::span<const std::byte> frame, const Receiver::Settings& settings) {
    Verdict verdict;
    if ((settings.rxcsum & (kRxcsumIpofl | kRxcsumTuofl)) == 0) return verdict;
    const auto headers = find_headers(frame);
    if (!headers || headers->ipv6) return verdict;
    verdict.status = 0;
    if ((settings.rxcsum & kRxcsumIpofl) != 0) {
        verdict.status |= kRxIpcs;
        const auto ip = frame.subspan(headers->network, headers->transport - headers->network);
        if (!settings.verified && internet_checksum(ip) != 0) verdict.errors |= kRxErrorIp;
    }
    const auto part = frame.subspan(headers->transport, headers->end - headers->transport);
    const bool none = headers->protocol == kProtocolUdp && load16(part, kUdpChecksum) == 0;
    if ((settings.rxcsum & kRxcsumTuofl) != 0 && !none) {
        verdict.status |= kRxTcpcs;
        if (!settings.verified) {
            InternetSum sum;
            sum.add16(pseudo_header_sum(frame, *headers, part.size()));
            sum.add(part);
            if (sum.checksum() != 0) verdict.errors |= kRxErrorTcp;
        }
    }
    return verdict;
}

// Copies a frame that lies in up to three parts (a stripped tag leaves two, then check sequence).
class Parts {
  public:
    void add(std::span<const std::byte> part) {
        parts_[count_++] = part;
        size_ += part.size();
    }
    size_t size() const { return size_; }
    // The next `size` bytes. A buffer that is no memory takes them as the bus would: nowhere.
    void write(GuestPhys to, size_t size, const DmaView& dma) {
        while (size > 0) {
            std::span<const std::byte>& part = parts_[at_];
            const size_t now = std::min(size, part.size());
            if (to.value != 0 && now > 0) (void)dma.write(to, part.first(now));
            to = to + now;
            size -= now;
            part = part.subspan(now);
            if (part.empty()) ++at_;
        }
    }

  private:
    std::array<std::span<const std::byte>, 3> parts_;
    unsigned count_ = 0, at_ = 0;
    size_t size_ = 0;
};

}  // namespace

uint32_t Receiver::buffer_size(uint32_t rctl) {
    const uint32_t size = 2048u >> RctlBsize::get(rctl);
    return (rctl & kRctlBsex) != 0 && RctlBsize::get(rctl) != 0 ? size * 16 : size;
}

uint32_t Receiver::descriptors_for(size_t frame_size, const Settings& settings) {
    const uint32_t buffer = buffer_size(settings.rctl);
    const size_t size = stored_size(frame_size, settings.rctl);
    return static_cast<uint32_t>((size + buffer - 1) / buffer);
}

void Receiver::store(std::span<const std::byte> frame, const Settings& settings, const DmaView& dma,
                     Ring& ring) {
    const Verdict verdict = judge_checksums(frame, settings);
    ReceiveDescriptor last{};
    last.status = static_cast<uint8_t>(kRxDd | kRxEop | verdict.status);
    last.errors = verdict.errors;
    InternetSum sum;
    sum.add(frame.subspan(std::min<size_t>(RxcsumStart::get(settings.rxcsum), frame.size())));
    last.checksum = __builtin_bswap16(sum.folded());

    Parts parts;
    const bool tagged =
        frame.size() >= kHeaderSize + kVlanTagSize && load16(frame, kType) == settings.vlan_type;
    if (tagged && settings.strip_vlan) {
        last.status |= kRxVp;
        last.special = load16(frame, kHeaderSize);
        parts.add(frame.first(kType));
        parts.add(frame.subspan(kType + kVlanTagSize));
    } else {
        parts.add(frame);
    }
    if ((settings.rctl & kRctlSecrc) == 0) parts.add(kCheckSequence);

    const size_t buffer = buffer_size(settings.rctl);
    for (size_t left = parts.size(); left > 0;) {
        const GuestPhys place = ring.base + uint64_t{ring.head} * kDescriptorSize;
        const auto address = dma.load<uint64_t>(place);
        const size_t part = std::min(left, buffer);
        parts.write(GuestPhys{address.value_or(0)}, part, dma);
        left -= part;
        ReceiveDescriptor descriptor{};
        if (left == 0) descriptor = last;
        descriptor.address = address.value_or(0);
        descriptor.length = static_cast<uint16_t>(part);
        descriptor.status |= kRxDd;
        // The status last, for a driver on another processor that looks for it.
        const auto bytes = std::as_bytes(std::span(&descriptor, 1));
        if (dma.write(place, bytes.first(8))) {
            uint64_t second;
            std::memcpy(&second, bytes.data() + 8, sizeof second);
            (void)dma.store_release(place + 8, second);
        }
        ring.advance();
    }
}

}  // namespace mynah::i82540em
