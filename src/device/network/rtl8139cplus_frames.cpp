// What the RTL8139C+ sends and receives, in both of its modes.

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/network/checksum.h"
#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "device/network/rtl8139cplus.h"

namespace mynah {

using namespace ethernet;
using namespace rtl8139;

bool Rtl8139Cplus::loopback() const {
    constexpr uint32_t kLoopback = 3;
    return TcrLoopback::get(tcr_) == kLoopback;
}

bool Rtl8139Cplus::has_transmit_work() const {
    if ((command_ & kCrTe) == 0) return false;
    if ((cpcr_ & kCpcrTransmit) != 0) return poll_normal_ || poll_high_;
    return (tsd_[next_register_] & kTsdOwn) == 0;
}

bool Rtl8139Cplus::fetch(const DmaView& dma, NetworkOffloads offloads, TransmitBatch& to) {
    if ((command_ & kCrTe) == 0) return false;
    if ((cpcr_ & kCpcrTransmit) == 0) {
        for (unsigned i = 0; i < kTransmitters; ++i) {
            if (to.full()) return true;
            if (!send_register(next_register_, dma, to)) return false;
            next_register_ = (next_register_ + 1) % kTransmitters;
        }
        return false;
    }
    for (const bool high : {false, true}) {
        bool& poll = high ? poll_high_ : poll_normal_;
        bool sent = false;
        // A ring that never ends and whose descriptors are all ours gets one turn for each ring.
        for (unsigned i = 0; poll && i < kMaxDescriptors; ++i) {
            if (to.full()) return true;
            poll = take_descriptor(high, dma, offloads, to, sent);
        }
        if (sent) isr_ |= kIntTok | kIntTdu;
        poll = false;
    }
    return false;
}

// --- C mode [RTL8139 5.2].

bool Rtl8139Cplus::send_register(unsigned index, const DmaView& dma, TransmitBatch& to) {
    uint32_t& tsd = tsd_[index];
    if ((tsd & kTsdOwn) != 0) return false;
    const size_t size = TsdSize::get(tsd);
    tsd |= kTsdOwn;
    const auto frame = std::span(frame_).first(size);
    if (size < kHeaderSize || !dma.read(GuestPhys{tsad_[index]}, frame)) {
        tsd |= kTsdTabt;
        isr_ |= kIntTer;
        return true;
    }
    tsd |= kTsdTok;
    isr_ |= kIntTok;
    to.add(frame, {});
    count_sent();
    return true;
}

uint32_t Rtl8139Cplus::buffer_size() const { return 8192u << RcrRblen::get(rcr_); }

// The driver's pointer lies 16 bytes behind where it reads next [RTL8139 5.16].
uint32_t Rtl8139Cplus::read_pointer() const { return (capr_ + 16u) % buffer_size(); }

bool Rtl8139Cplus::buffer_empty() const { return read_pointer() == cbr_ % buffer_size(); }

bool Rtl8139Cplus::store_in_buffer(std::span<const std::byte> frame, uint16_t status,
                                   const DmaView& dma) {
    constexpr uint32_t kPrefix = 4;
    const uint32_t size = buffer_size();
    const uint32_t begin = cbr_ % size;
    const auto length = static_cast<uint32_t>(frame.size() + kCheckSequenceSize);
    const auto total = static_cast<uint32_t>(align_up(kPrefix + length, 4));
    const uint32_t room = buffer_empty() ? size : (read_pointer() + size - begin) % size;
    // Never wholly full, or it would look empty.
    if (total >= room) return false;
    std::array<std::byte, kPrefix> prefix;
    store_unaligned(prefix.data(), status);
    store_unaligned(prefix.data() + 2, static_cast<uint16_t>(length));
    constexpr std::array<std::byte, kCheckSequenceSize> kNoCheckSequence{};
    // With WRAP a packet goes on behind the buffer's end; 64 KiB are always a ring.
    const bool ring = (rcr_ & kRcrWrap) == 0 || size == 65536;
    uint32_t at = begin;
    const auto put = [&](std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            if (ring) at %= size;
            const size_t part = ring ? std::min<size_t>(bytes.size(), size - at) : bytes.size();
            (void)dma.write(GuestPhys{uint64_t{rbstart_} + at}, bytes.first(part));
            bytes = bytes.subspan(part);
            at += static_cast<uint32_t>(part);
        }
    };
    put(prefix);
    put(frame);
    put(kNoCheckSequence);
    cbr_ = static_cast<uint16_t>((begin + total) % size);
    return true;
}

// --- C+ mode [RTL8139C+ 8].

uint64_t Rtl8139Cplus::ring_base(bool high) const {
    const unsigned at = high ? 2 : 0;
    return uint64_t{tsad_[at + 1]} << 32 | (tsad_[at] & ~uint32_t{0xff});
}

// True: go on with the next one.
bool Rtl8139Cplus::take_descriptor(bool high, const DmaView& dma, NetworkOffloads offloads,
                                   TransmitBatch& to, bool& sent) {
    PlusRing& ring = high ? high_ : normal_;
    const GuestPhys place{ring_base(high) + ring.next * sizeof(Descriptor)};
    const auto descriptor = dma.load<Descriptor>(place);
    if (!descriptor || (descriptor->command & kOwn) == 0) return false;
    const uint32_t command = descriptor->command;
    if ((command & kFirst) != 0) {
        ring.data.clear();
        ring.in_frame = true;
        ring.broken = false;
        ring.first_command = command;
    }
    const size_t size = TxSize::get(command), at = ring.data.size();
    if (at + size > kMaxSuperFrame) ring.broken = true;
    if (ring.in_frame && !ring.broken) {
        ring.data.resize(at + size);
        if (!dma.read(GuestPhys{descriptor->address}, std::span(ring.data).subspan(at))) {
            ring.broken = true;
        }
    }
    if ((command & kLast) != 0) {
        if (ring.in_frame && !ring.broken) send_plus(ring, descriptor->vlan, offloads, to);
        ring.in_frame = false;
        sent = true;
    }
    // Back to the driver, without errors.
    constexpr uint32_t kStatusBits = 0x01ff0000;
    (void)dma.store_release(place,
                            command & ~(kOwn | ((command & kLargeSend) != 0 ? 0 : kStatusBits)));
    ring.next = (command & kEndOfRing) != 0 ? 0 : (ring.next + 1) % kMaxDescriptors;
    return true;
}

void Rtl8139Cplus::send_plus(PlusRing& ring, uint32_t vlan, NetworkOffloads offloads,
                             TransmitBatch& to) {
    std::vector<std::byte>& frame = ring.data;
    if (frame.size() < kHeaderSize) return;
    if ((vlan & kTagInsert) != 0) {
        std::array<std::byte, kVlanTagSize> tag;
        store16(tag, 0, kTypeVlan);
        store16(tag, 2, __builtin_bswap16(static_cast<uint16_t>(vlan)));
        frame.insert(frame.begin() + kType, tag.begin(), tag.end());
    }
    count_sent();
    // The chip finds the headers itself and makes whole checksums.
    const uint32_t command = ring.first_command;
    const bool large = (command & kLargeSend) != 0;
    FrameOffload offload;
    const auto headers = find_headers(frame);
    if (!headers || headers->ipv6) {
        to.add(frame, offload);
        return;
    }
    if (large || (command & kIpSum) != 0) {
        const auto ip =
            std::span(frame).subspan(headers->network, headers->transport - headers->network);
        store16(ip, kIpv4Checksum, 0);
        store16(ip, kIpv4Checksum, internet_checksum(ip));
    }
    const bool tcp = headers->protocol == kProtocolTcp;
    if (large || (command & (tcp ? kTcpSum : kUdpSum)) != 0) {
        const size_t place = headers->transport + (tcp ? kTcpChecksum : kUdpChecksum);
        store16(frame, place,
                pseudo_header_sum(frame, *headers, headers->end - headers->transport));
        offload.needs_checksum = true;
        offload.checksum_start = static_cast<uint16_t>(headers->transport);
        offload.checksum_offset = static_cast<uint16_t>(place - headers->transport);
        frame.resize(headers->end);  // padding is no part of the sum
    }
    const uint32_t mss = TxMss::get(command);
    if (large && tcp && mss > 0 && headers->end - headers->payload > mss) {
        offload.segmentation = FrameOffload::Segmentation::kTcp4;
        offload.segment_size = static_cast<uint16_t>(mss);
    }
    const bool segmented = offload.segmentation != FrameOffload::Segmentation::kNone;
    if ((!offload.needs_checksum || offloads.checksum) && (!segmented || offloads.tcp4)) {
        to.add(frame, offload);
        return;
    }
    // For a backend that cannot; what finds no room in the batch is lost.
    complete_frame(frame, offload,
                   [&to](std::span<const std::byte> out) { to.add(out, FrameOffload{}); });
}

uint32_t Rtl8139Cplus::judge(std::span<const std::byte> frame, bool verified) const {
    constexpr uint32_t kTcp = 1, kUdp = 2;
    if ((cpcr_ & kCpcrChecksum) == 0) return 0;
    const auto headers = find_headers(frame);
    if (!headers || headers->ipv6) return 0;
    const bool tcp = headers->protocol == kProtocolTcp;
    uint32_t status = RxProtocol::with(0, tcp ? kTcp : kUdp);
    if (verified) return status;
    const auto ip = frame.subspan(headers->network, headers->transport - headers->network);
    if (internet_checksum(ip) != 0) status |= kRxIpFail;
    const auto part = frame.subspan(headers->transport, headers->end - headers->transport);
    if (!tcp && load16(part, kUdpChecksum) == 0) return status;
    InternetSum sum;
    sum.add16(pseudo_header_sum(frame, *headers, part.size()));
    sum.add(part);
    if (sum.checksum() != 0) status |= tcp ? kRxTcpFail : kRxUdpFail;
    return status;
}

bool Rtl8139Cplus::store_in_ring(std::span<const std::byte> frame, uint32_t status, uint32_t vlan,
                                 const DmaView& dma) {
    // First see that there are descriptors enough, since none can be taken back.
    const size_t whole = frame.size() + kCheckSequenceSize;
    std::array<Descriptor, kMaxDescriptors> chain;
    std::array<unsigned, kMaxDescriptors> index;
    size_t count = 0, room = 0;
    unsigned next = next_receive_;
    while (room < whole) {
        if (count == kMaxDescriptors) return true;  // would never fit: lost
        const auto descriptor = dma.load<Descriptor>(GuestPhys{rdsar_ + next * sizeof(Descriptor)});
        if (!descriptor || (descriptor->command & kOwn) == 0) return false;
        index[count] = next;
        chain[count++] = *descriptor;
        room += RxSize::get(descriptor->command);
        next = (descriptor->command & kEndOfRing) != 0 ? 0 : (next + 1) % kMaxDescriptors;
    }
    size_t left = whole, at = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t part = std::min<size_t>(left, RxSize::get(chain[i].command));
        const size_t bytes = std::min(part, frame.size() - at);
        (void)dma.write(GuestPhys{chain[i].address}, frame.subspan(at, bytes));
        at += bytes;
        left -= part;
        const bool last = i + 1 == count;
        uint32_t command = (chain[i].command & kEndOfRing) | (i == 0 ? kFirst : 0);
        command |= last ? kLast | status | static_cast<uint32_t>(whole) : 0;
        const GuestPhys place{rdsar_ + index[i] * sizeof(Descriptor)};
        (void)dma.store(place + offsetof(Descriptor, vlan), last ? vlan : 0);
        (void)dma.store_release(place, command);
    }
    next_receive_ = next;
    return true;
}

// --- Receive, either mode.

Rtl8139Cplus::Match Rtl8139Cplus::match(std::span<const std::byte> frame) const {
    MacAddress destination;
    std::memcpy(destination.bytes.data(), frame.data(), kAddressSize);
    if (destination == kBroadcastAddress) {
        return (rcr_ & kRcrAb) != 0 ? Match::kBroadcast : Match::kNone;
    }
    if (destination.is_group()) {
        if ((rcr_ & kRcrAm) == 0) return Match::kNone;
        // The upper six bits of the Ethernet CRC [RTL8139 5.1].
        uint32_t crc = 0xffffffff;
        for (uint8_t byte : destination.bytes) {
            for (int i = 0; i < 8; ++i, byte >>= 1) {
                const bool carry = ((crc >> 31) ^ (byte & 1u)) != 0;
                crc = crc << 1 ^ (carry ? 0x04c11db7u : 0);
            }
        }
        const unsigned hash = crc >> 26;
        return (mar_[hash / 8] >> (hash % 8) & 1) != 0 ? Match::kMulticast : Match::kNone;
    }
    const bool ours = std::equal(idr_.begin(), idr_.end(), destination.bytes.begin());
    if (ours && (rcr_ & (kRcrApm | kRcrAap)) != 0) return Match::kPhysical;
    return (rcr_ & kRcrAap) != 0 ? Match::kPhysical : Match::kNone;
}

bool Rtl8139Cplus::receive(const NetworkFrame& frame, const DmaView& dma) {
    const bool plus = (cpcr_ & kCpcrReceive) != 0;
    if ((command_ & kCrRe) == 0 || !link_) return true;
    if (frame.size < kHeaderSize || !gather_frame(frame, frame_)) return true;
    constexpr size_t kLongest = kMaxFrame + kVlanTagSize;
    if (frame.size > kLongest) return true;
    size_t size = frame.size;
    if (size < kMinFrame) {
        std::fill_n(frame_.begin() + static_cast<std::ptrdiff_t>(size), kMinFrame - size,
                    std::byte{0});
        size = kMinFrame;
    }
    const auto bytes = std::span<const std::byte>(frame_).first(size);
    const Match kind = match(bytes);
    if (kind == Match::kNone) return true;
    bool stored;
    if (plus) {
        uint32_t status = judge(bytes, frame.offload.checksum_good);
        status |= kind == Match::kBroadcast   ? kRxBroadcast
                  : kind == Match::kMulticast ? kRxMulticast
                                              : kRxPhysical;
        uint32_t vlan = 0;
        auto content = std::span(frame_).first(size);
        if ((cpcr_ & kCpcrVlan) != 0 && load16(bytes, kType) == kTypeVlan) {
            vlan = kRxTagAvailable | __builtin_bswap16(load16(bytes, kHeaderSize));
            std::memmove(content.data() + kVlanTagSize, content.data(), kType);
            content = content.subspan(kVlanTagSize);
        }
        stored = store_in_ring(content, status, vlan, dma);
    } else {
        uint16_t status = kRxRok;
        status |= kind == Match::kBroadcast ? kRxBar : kind == Match::kMulticast ? kRxMar : kRxPam;
        stored = store_in_buffer(bytes, status, dma);
    }
    if (stored) {
        ++rx_ok_;
        isr_ |= kIntRok;
    } else {
        isr_ |= kIntRxovw;  // C+: no descriptor; the frame waits outside
    }
    return stored;
}

}  // namespace mynah
