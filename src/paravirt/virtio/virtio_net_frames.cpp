// The packets of the virtio network device, both ways [virtio-1.2 5.1.6].

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/network/ethernet.h"
#include "backend/network/net_header.h"
#include "backend/network/segmentation.h"
#include "paravirt/virtio/virtio_net.h"

namespace mynah {

using namespace virtio::net;
using Segmentation = FrameOffload::Segmentation;

// --- From the driver [virtio-1.2 5.1.6.2].

// False: it breaks a rule, and is lost.
bool VirtioNet::read_packet(Outgoing& packet) const {
    std::array<std::byte, kHeaderSize> bytes;
    SliceList& data = packet.chain.readable;
    if (!data.take_front(bytes)) return false;
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
    }
    return false;
}

// False: the backend is full, or there is nothing left.
bool VirtioNet::send_some(VirtioQueue& queue, VirtioQueue::Batch& batch) {
    constexpr size_t kMost = 64;  // frames in one call of the backend
    std::array<NetworkFrame, kMost> frames;
    std::array<virtio::UsedElement, kMost> used;
    std::array<size_t, kMost> position;  // of a frame's chain among those taken
    size_t count = 0, taken = 0;
    while (taken < kMost) {
        if (taken == outgoing_.size()) outgoing_.push_back(std::make_unique<Outgoing>());
        Outgoing& packet = *outgoing_[taken];
        if (!queue.take(batch, packet.chain)) break;
        used[taken] = {packet.chain.head, 0};
        if (read_packet(packet)) {
            position[count] = taken;
            frames[count++] = packet.frame;
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

void VirtioNet::send(VirtioQueue& queue) {
    MutexLock order(transmit_mutex_);
    VirtioQueue::Batch batch = queue.open_batch();
    while (send_some(queue, batch)) {
    }
}

void VirtioNet::transmit_ready() {
    if (VirtioQueue* queue = transmit_queue_) send(*queue);
}

// --- To the driver [virtio-1.2 5.1.6.3, 5.1.6.4].

bool VirtioNet::take_receive_chain(VirtioQueue::Batch& batch, DescriptorChain& chain) {
    VirtioQueue& queue = *receive_queue_;
    if (queue.take(batch, chain)) return true;
    batch = queue.open_quiet_batch();
    if (batch.left == 0) batch = queue.open_batch();  // none: a bell, please
    return queue.take(batch, chain);
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
    }
    return false;
}

VirtioNet::Stored VirtioNet::store(const NetworkFrame& frame, VirtioQueue::Batch& batch) {
    VirtioQueue& queue = *receive_queue_;
    const uint64_t needed = kHeaderSize + uint64_t{frame.size};
    uint64_t room = 0;
    size_t taken = 0;
    while (room < needed) {
        if (taken == chains_.size()) chains_.emplace_back();
        if (!take_receive_chain(batch, chains_[taken])) {
            queue.put_back(batch, static_cast<uint16_t>(taken));
            return Stored::kNoRoom;
        }
        room += chains_[taken].writable.size();
        ++taken;
        if (!has(kFeatureMrgRxbuf) && room < needed) {
            // Buffers too small for the frame: it is lost, they are not.
            queue.put_back(batch, 1);
            return Stored::kDropped;
        }
    }
    write_packet(frame, taken);
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

void VirtioNet::write_packet(const NetworkFrame& frame, size_t chains) {
    NetHeader header = to_net_header(frame.offload, 0);
    if (!has(kFeatureGuestCsum)) header.flags = 0;
    std::array<std::byte, kHeaderSize> bytes{};
    std::memcpy(bytes.data(), &header, sizeof header);
    const auto buffers = static_cast<uint16_t>(chains);
    std::memcpy(bytes.data() + kNumBuffers, &buffers, sizeof buffers);
    const auto parts = std::span(chains_).first(chains);
    ChainWriter writer(parts);
    writer.write(bytes);
    for (const Slice piece : frame.pieces) writer.write(piece);
    uint64_t left = kHeaderSize + uint64_t{frame.size};
    for (const DescriptorChain& chain : parts) {
        const uint64_t part = std::min(left, chain.writable.size());
        receive_queue_.load()->wrote(chain.writable);
        used_.push_back({chain.head, static_cast<uint32_t>(part)});
        left -= part;
    }
}

void VirtioNet::flush_used() {
    receive_queue_.load()->give_back_all(used_);
    used_.clear();
}

size_t VirtioNet::receive(std::span<const NetworkFrame> frames) {
    if (receive_queue_ == nullptr) return frames.size();
    VirtioQueue::Batch batch;
    size_t done = 0;
    for (; done < frames.size(); ++done) {
        NetworkFrame frame = frames[done];
        std::array<std::byte, ethernet::kHeaderSize + ethernet::kVlanTagSize> start;
        size_t known = 0;
        for (const Slice piece : frame.pieces) {
            const size_t part = std::min(piece.size(), start.size() - known);
            std::memcpy(start.data() + known, piece.data(), part);
            known += part;
        }
        {
            MutexLock lock(mutex_);
            if (!filter_.accepts(std::span(start).first(known))) continue;
        }
        Slice together;
        if (!fits_negotiated(frame.offload)) {
            // The driver has just turned this off: what can be done here is.
            if (frame.offload.segmentation != Segmentation::kNone) continue;
            whole_.resize(frame.size);
            if (!gather_frame(frame, whole_)) continue;
            complete_checksum(whole_, frame.offload);
            together = whole_;
            frame = {std::span(&together, 1), whole_.size(), {}};
        }
        if (store(frame, batch) == Stored::kNoRoom) break;
    }
    flush_used();
    return done;
}

}  // namespace mynah
