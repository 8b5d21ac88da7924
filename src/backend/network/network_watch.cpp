#include "backend/network/network_watch.h"

#include <algorithm>
#include <array>
#include <utility>

#include "backend/network/ethernet.h"

namespace mynah {

using namespace ethernet;

namespace {

// Enough of a frame to know what it is; and for the option of DHCP that says what message it is.
constexpr size_t kFront = 64, kLooked = 512;

// [RFC 2131 2]: ports, and where the options begin: behind the fixed fields and the magic cookie.
constexpr uint16_t kServerPort = 67, kClientPort = 68;
constexpr size_t kBootpFixed = 236, kOptions = kBootpFixed + 4;
constexpr uint32_t kCookie = 0x63825363;
// Options [RFC 2132 3.1, 3.2, 9.6].
constexpr uint8_t kPad = 0, kEnd = 255, kMessageType = 53;
enum Message : uint8_t { kDiscover = 1, kOffer = 2, kRequest = 3, kAck = 5, kNak = 6 };
// [RFC 826].
constexpr size_t kArpOperation = 6, kArpSize = 28;
constexpr uint16_t kArpRequest = 1, kArpReply = 2;

uint8_t byte_at(std::span<const std::byte> bytes, size_t at) {
    return static_cast<uint8_t>(bytes[at]);
}

void grow(std::atomic<uint32_t>& count) { count.fetch_add(1, std::memory_order_relaxed); }

std::span<const std::byte> beginning(const NetworkFrame& frame,
                                     std::span<std::byte> copy) {
    size_t filled = 0;
    for (const Slice piece : frame.pieces) {
        const size_t size = std::min(piece.size(), copy.size() - filled);
        std::copy_n(piece.begin(), size, copy.begin() + static_cast<ptrdiff_t>(filled));
        filled += size;
        if (filled == copy.size()) break;
    }
    return copy.first(filled);
}

// The payload of a UDP datagram between these ports, in either direction; empty: it is none.
std::span<const std::byte> dhcp_in(std::span<const std::byte> packet, bool from_guest) {
    if (packet.size() < kIpv4MinHeader || byte_at(packet, 0) >> 4 != 4) return {};
    const size_t header = (byte_at(packet, 0) & 0xfu) * 4;
    if (header < kIpv4MinHeader || packet.size() < header + kUdpHeader ||
        byte_at(packet, kIpv4Protocol) != kProtocolUdp ||
        (load16(packet, kIpv4Fragment) & kIpv4FragmentMask) != 0)
        return {};
    const auto datagram = packet.subspan(header);
    const uint16_t to = load16(datagram, 2);
    if (to != (from_guest ? kServerPort : kClientPort)) return {};
    return datagram.subspan(kUdpHeader);
}

}  // namespace

NetworkWatch::NetworkWatch(std::unique_ptr<NetworkBackend> inner, NetworkCounts& counts)
    : counts_(counts), inner_(std::move(inner)) {
    counts_.link = inner_->link_up() ? NetworkCounts::kUp : NetworkCounts::kDown;
}

NetworkWatch::~NetworkWatch() { inner_->set_sink(nullptr); }

void NetworkWatch::set_sink(NetworkSink* sink) {
    inner_->set_sink(nullptr);
    sink_ = sink;
    if (sink != nullptr) inner_->set_sink(this);
    counts_.link = inner_->link_up() ? NetworkCounts::kUp : NetworkCounts::kDown;
}

void NetworkWatch::link_changed(bool up) {
    counts_.link = up ? NetworkCounts::kUp : NetworkCounts::kDown;
    if (!up) grow(counts_.link_losses);
    sink_->link_changed(up);
}

size_t NetworkWatch::transmit(std::span<const NetworkFrame> frames) {
    const size_t taken = inner_->transmit(frames);
    for (const NetworkFrame& frame : frames.first(taken)) count(frame, true);
    return taken;
}

size_t NetworkWatch::receive(std::span<const NetworkFrame> frames) {
    const size_t taken = sink_->receive(frames);
    for (const NetworkFrame& frame : frames.first(taken)) count(frame, false);
    return taken;
}

void NetworkWatch::count(const NetworkFrame& frame, bool from_guest) {
    (from_guest ? counts_.sent : counts_.received).fetch_add(1, std::memory_order_relaxed);
    // Bulk transfer is none of what is looked for: it costs no more than a few bytes' copy.
    std::array<std::byte, kLooked> copy;
    const auto bytes = beginning(frame, std::span(copy).first(kFront));
    if (bytes.size() < kHeaderSize) return;
    const uint16_t type = load16(bytes, kType);
    const auto payload = bytes.subspan(kHeaderSize);
    if (type == kTypeIpv4) {
        // What the whole says counts: the guest may have changed it since.
        if (dhcp_in(payload, from_guest).empty()) return;
        const auto all = beginning(frame, copy).subspan(kHeaderSize);
        count_dhcp(dhcp_in(all, from_guest), from_guest);
    } else if (type == kTypeArp && payload.size() >= kArpSize) {
        const uint16_t operation = load16(payload, kArpOperation);
        if (from_guest && operation == kArpRequest) grow(counts_.arp_questions);
        if (!from_guest && operation == kArpReply) grow(counts_.arp_answers);
    }
}

void NetworkWatch::count_dhcp(std::span<const std::byte> message, bool from_guest) {
    if (message.size() < kOptions || load32(message, kBootpFixed) != kCookie) return;
    for (size_t at = kOptions; at + 2 < message.size();) {
        const uint8_t option = byte_at(message, at);
        if (option == kEnd) return;
        if (option == kPad) {
            ++at;
            continue;
        }
        if (option != kMessageType) {
            at += 2u + byte_at(message, at + 1);
            continue;
        }
        const uint8_t kind = byte_at(message, at + 2);
        if (from_guest && kind == kDiscover) grow(counts_.discovers);
        if (from_guest && kind == kRequest) grow(counts_.requests);
        if (!from_guest && kind == kOffer) grow(counts_.offers);
        if (!from_guest && kind == kAck) grow(counts_.acks);
        if (!from_guest && kind == kNak) grow(counts_.naks);
        return;
    }
}

}  // namespace mynah
