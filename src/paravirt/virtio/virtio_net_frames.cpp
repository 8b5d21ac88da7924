// The packets of the virtio network device, both ways [virtio-1.2 5.1.6].

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/network/ethernet.h"
#include "backend/network/net_header.h"
#include "backend/network/segmentation.h"
#include "base/bits.h"
#include "paravirt/virtio/virtio_net.h"

namespace mynah {

using namespace virtio::net;
using Segmentation = FrameOffload::Segmentation;

// --- From the driver [virtio-1.2 5.1.6.2].

// False: it breaks a rule, and is lost.
bool VirtioNet::read_packet(Outgoing& packet) const {
    std::array<std::byte, kHashHeaderSize> bytes;
    SliceList& data = packet.chain.readable;
    if (!data.take_front(std::span(bytes).first(header_size()))) return false;
    if (data.size() < ethernet::kHeaderSize || data.size() > ethernet::kMaxSuperFrame) return false;
    NetHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    packet.frame = {data.slices(), data.size(), {}};
    FrameOffload& offload = packet.frame.offload;
    if (!from_net_header(header, data.size(), offload)) return false;
    if (offload.needs_checksum && !has(kFeatureCsum)) return false;
    switch (offload.segmentation) {
        case Segmentation::kNone:
            return true;
        case Segmentation::kTcp4:
            return has(kFeatureHostTso4) && (!offload.ecn || has(kFeatureHostEcn));
        case Segmentation::kTcp6:
            return has(kFeatureHostTso6) && (!offload.ecn || has(kFeatureHostEcn));
        case Segmentation::kUdp:
            return has(kFeatureHostUso);
    }
    return false;
}

// False: the backend is full, or there is nothing left.
bool VirtioNet::send_some(Pair& pair, VirtioQueue& queue, VirtioQueue::Batch& batch) {
    constexpr size_t kMost = 64;  // frames in one call of the backend
    std::array<NetworkFrame, kMost> frames;
    std::array<virtio::UsedElement, kMost> used;
    std::array<size_t, kMost> position;  // of a frame's chain among those taken
    size_t count = 0, taken = 0;
    while (taken < kMost) {
        if (taken == pair.outgoing.size()) pair.outgoing.push_back(std::make_unique<Outgoing>());
        Outgoing& packet = *pair.outgoing[taken];
        if (!queue.take(batch, packet.chain)) break;
        used[taken] = {packet.chain.head, 0};
        if (read_packet(packet)) {
            position[count] = taken;
            frames[count++] = packet.frame;
            note_flow(packet.frame, pair);
        }
        ++taken;
    }
    if (taken == 0) return false;
    size_t sent = count > 0 ? backend_.transmit(std::span(frames).first(count)) : 0;
    sent = std::min(sent, count);
    // What the backend did not take stays in the ring, with what is behind it.
    const size_t done = sent < count ? position[sent] : taken;
    if (done < taken) queue.put_back(batch, static_cast<uint16_t>(taken - done));
    queue.give_back_all(std::span(used).first(done));
    return sent == count;
}

void VirtioNet::send(Pair& pair, VirtioQueue& queue) {
    MutexLock order(pair.transmit_mutex);
    VirtioQueue::Batch batch = queue.open_batch();
    while (send_some(pair, queue, batch)) {
    }
}

void VirtioNet::transmit_ready() {
    for (Pair& pair : pairs_)
        if (VirtioQueue* queue = pair.transmit) send(pair, *queue);
}

namespace {

// The first bytes of a frame, as many as there are.
std::span<const std::byte> start_of(const NetworkFrame& frame, std::span<std::byte> to) {
    size_t known = 0;
    for (const Slice piece : frame.pieces) {
        const size_t part = std::min(piece.size(), to.size() - known);
        std::memcpy(to.data() + known, piece.data(), part);
        known += part;
    }
    return to.first(known);
}

}  // namespace

void VirtioNet::note_flow(const NetworkFrame& frame, const Pair& pair) {
    if (active_pairs_.load(std::memory_order_relaxed) == 1) return;
    FrameStart start;
    steering_.sent(start_of(frame, start), static_cast<uint16_t>(&pair - pairs_.data()));
}

// --- To the driver [virtio-1.2 5.1.6.3, 5.1.6.4].

bool VirtioNet::take_receive_chain(Pair& pair, DescriptorChain& chain) {
    VirtioQueue& queue = *pair.receive;
    if (queue.take(pair.batch, chain)) return true;
    pair.batch = queue.open_quiet_batch();
    if (pair.batch.left == 0) pair.batch = queue.open_batch();  // none: a bell, please
    return queue.take(pair.batch, chain);
}

bool VirtioNet::fits_negotiated(const FrameOffload& offload) const {
    const uint64_t offloads = guest_offloads_.load(std::memory_order_relaxed);
    if (offload.needs_checksum && (offloads & kFeatureGuestCsum) == 0) return false;
    if (offload.ecn && (offloads & kFeatureGuestEcn) == 0) return false;
    switch (offload.segmentation) {
        case Segmentation::kNone:
            return true;
        case Segmentation::kTcp4:
            return (offloads & kFeatureGuestTso4) != 0;
        case Segmentation::kTcp6:
            return (offloads & kFeatureGuestTso6) != 0;
        case Segmentation::kUdp:
            return (offloads & kFeatureGuestUso4) != 0 && (offloads & kFeatureGuestUso6) != 0;
    }
    return false;
}

VirtioNet::Stored VirtioNet::store(const NetworkFrame& frame, const NetHash::Result& hash,
                                   Pair& pair) {
    VirtioQueue& queue = *pair.receive;
    const uint64_t needed = header_size() + uint64_t{frame.size};
    uint64_t room = 0;
    size_t taken = 0;
    while (room < needed) {
        if (taken == chains_.size()) chains_.emplace_back();
        if (!take_receive_chain(pair, chains_[taken])) {
            queue.put_back(pair.batch, static_cast<uint16_t>(taken));
            return Stored::kNoRoom;
        }
        room += chains_[taken].writable.size();
        ++taken;
        if (!has(kFeatureMrgRxbuf) && room < needed) {
            // Buffers too small for the frame: it is lost, they are not.
            queue.put_back(pair.batch, 1);
            return Stored::kDropped;
        }
    }
    write_packet(frame, hash, taken, pair);
    return Stored::kYes;
}

namespace {

// Copies on and on into the chains of one packet.
class ChainWriter {
  public:
    explicit ChainWriter(std::span<DescriptorChain> chains) : chains_(chains) {}
    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty() && chain_ < chains_.size()) {
            const auto slices = chains_[chain_].writable.slices();
            if (slice_ == slices.size()) {
                ++chain_;
                slice_ = offset_ = 0;
                continue;
            }
            const Slice to = slices[slice_].subspan(offset_);
            const size_t part = std::min(to.size(), bytes.size());
            std::memcpy(to.data(), bytes.data(), part);
            bytes = bytes.subspan(part);
            offset_ += part;
            if (part == to.size()) {
                ++slice_;
                offset_ = 0;
            }
        }
    }

  private:
    std::span<DescriptorChain> chains_;
    size_t chain_ = 0, slice_ = 0, offset_ = 0;
};

}  // namespace

void VirtioNet::write_packet(const NetworkFrame& frame, const NetHash::Result& hash, size_t chains,
                             Pair& pair) {
    NetHeader header = to_net_header(frame.offload, 0);
    if (!has(kFeatureGuestCsum)) header.flags = 0;
    std::array<std::byte, kHashHeaderSize> bytes{};
    std::memcpy(bytes.data(), &header, sizeof header);
    store_unaligned(bytes.data() + kNumBuffers, static_cast<uint16_t>(chains));
    store_unaligned(bytes.data() + kHashValue, hash.value);
    store_unaligned(bytes.data() + kHashReport, hash.report);
    const auto parts = std::span(chains_).first(chains);
    ChainWriter writer(parts);
    writer.write(std::span(bytes).first(header_size()));
    for (const Slice piece : frame.pieces) writer.write(piece);
    uint64_t left = header_size() + uint64_t{frame.size};
    for (const DescriptorChain& chain : parts) {
        const uint64_t part = std::min(left, chain.writable.size());
        pair.receive.load()->wrote(chain.writable);
        pair.used.push_back({chain.head, static_cast<uint32_t>(part)});
        left -= part;
    }
}

// Null: the driver has not started any.
VirtioNet::Pair* VirtioNet::receiving_pair(std::span<const std::byte> start,
                                           std::optional<uint16_t> wanted) {
    const uint16_t pairs = active_pairs_.load(std::memory_order_relaxed);
    Pair& chosen = pairs_[wanted ? *wanted : steering_.choose(start, pairs)];
    if (chosen.receive != nullptr) return &chosen;
    return pairs_[0].receive != nullptr ? &pairs_[0] : nullptr;
}

VirtioNet::Stored VirtioNet::receive_one(const NetworkFrame& given) {
    NetworkFrame frame = given;
    FrameStart bytes;
    const std::span<const std::byte> start = start_of(frame, bytes);
    NetHash::Result hash;
    std::optional<uint16_t> wanted;
    {
        MutexLock lock(mutex_);
        if (!filter_.accepts(start)) return Stored::kDropped;
        hash = hash_.of(start);
        wanted = hash_.pair_for(hash);
    }
    Pair* const pair = receiving_pair(start, wanted);
    if (pair == nullptr) return Stored::kDropped;
    Slice together;
    if (!fits_negotiated(frame.offload)) {
        // The driver has just turned this off: what can be done here is.
        if (frame.offload.segmentation != Segmentation::kNone) return Stored::kDropped;
        whole_.resize(frame.size);
        if (!gather_frame(frame, whole_)) return Stored::kDropped;
        complete_checksum(whole_, frame.offload);
        together = whole_;
        frame = {std::span(&together, 1), whole_.size(), {}};
    }
    return store(frame, hash, *pair);
}

size_t VirtioNet::receive(std::span<const NetworkFrame> frames) {
    for (Pair& pair : pairs_) pair.batch = {};
    size_t done = 0;
    while (done < frames.size() && receive_one(frames[done]) != Stored::kNoRoom) ++done;
    for (Pair& pair : pairs_) {
        if (pair.used.empty()) continue;
        pair.receive.load()->give_back_all(pair.used);
        pair.used.clear();
    }
    return done;
}

}  // namespace mynah
