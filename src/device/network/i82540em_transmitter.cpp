#include "device/network/i82540em_transmitter.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/network/checksum.h"
#include "backend/network/ethernet.h"
#include "device/network/i82540em_filter.h"

namespace mynah::i82540em {

using namespace ethernet;

namespace {

// Puts the sum of bytes start to end (0: the last one) at `offset`; a place that is not in the
// frame is left alone.
void insert_sum(std::span<std::byte> frame, size_t start, size_t offset, size_t end) {
    if (end == 0 || end >= frame.size()) end = frame.size() - 1;
    if (start > end || offset + 2 > frame.size()) return;
    store16(frame, offset, internet_checksum(frame.subspan(start, end + 1 - start)));
}

}  // namespace

void Transmitter::reset() { *this = Transmitter(); }

void Transmitter::load_context(const TransmitDescriptor& descriptor) {
    Context& context = (descriptor.command & kTxTse) != 0 ? segmenting_ : plain_;
    const uint64_t low = descriptor.low;
    context.ip_start = static_cast<uint8_t>(ContextIpcss::get(low));
    context.ip_offset = static_cast<uint8_t>(ContextIpcso::get(low));
    context.ip_end = static_cast<uint16_t>(ContextIpcse::get(low));
    context.tu_start = static_cast<uint8_t>(ContextTucss::get(low));
    context.tu_offset = static_cast<uint8_t>(ContextTucso::get(low));
    context.tu_end = static_cast<uint16_t>(ContextTucse::get(low));
    context.tcp = (descriptor.command & kContextTcp) != 0;
    context.ipv4 = (descriptor.command & kContextIpv4) != 0;
    context.header_length = static_cast<uint8_t>(ContextHeaderLength::get(descriptor.status));
    context.mss = static_cast<uint16_t>(ContextMss::get(descriptor.status));
}

void Transmitter::begin(const TransmitDescriptor& descriptor, bool segmented) {
    in_frame_ = true;
    segmented_ = segmented;
    broken_ = segmented && (segmenting_.mss == 0 || segmenting_.header_length < kHeaderSize);
    // The first descriptor of a packet tells [8254x 3.3.7.1].
    const bool extended = (descriptor.command & kTxDext) != 0;
    sums_ = {};
    if (extended) {
        sums_ = {(descriptor.status & kTxIxsm) != 0, (descriptor.status & kTxTxsm) != 0};
    }
    payload_sent_ = 0;
    segments_sent_ = 0;
    data_.clear();
}

// Payload that goes in one frame; more than MSS if the backend cuts.
size_t Transmitter::segment_limit(const Settings& settings) const {
    const size_t mss = segmenting_.mss;
    if (!can_leave_whole(settings)) return mss;
    constexpr size_t kLongestPacket = 65535;
    const size_t room = kLongestPacket - segmenting_.header_length;
    return std::max<size_t>(room / mss, 1) * mss;
}

bool Transmitter::can_leave_whole(const Settings& settings) const {
    const Context& context = segmenting_;
    if (!settings.offloads.checksum || !context.tcp || !sums_.transport) return false;
    if (context.tu_end != 0 || context.tu_offset < context.tu_start) return false;
    return context.ipv4 ? settings.offloads.tcp4 && sums_.ip : settings.offloads.tcp6;
}

bool Transmitter::append(GuestPhys from, size_t length, const DmaView& dma, TransmitBatch& to,
                         Statistics& statistics, const Settings& settings) {
    const size_t limit =
        segmented_ ? segmenting_.header_length + segment_limit(settings) : kMaxSuperFrame;
    while (!broken_ && taken_ < length) {
        if (data_.size() >= limit) {
            // Only now is it sure that this segment is not the last.
            if (!segmented_) {
                broken_ = true;  // longer than any frame
                break;
            }
            if (to.full()) return false;
            emit_segment(false, settings, to, statistics);
        }
        const size_t part = std::min(length - taken_, limit - data_.size());
        const size_t at = data_.size();
        data_.resize(at + part);
        // What is no memory reads as nothing in particular on a real bus; the frame is lost here.
        if (!dma.read(from + taken_, std::span(data_).subspan(at))) broken_ = true;
        taken_ += part;
    }
    return true;
}

bool Transmitter::take(const TransmitDescriptor& descriptor, const Settings& settings,
                       const DmaView& dma, TransmitBatch& to, Statistics& statistics) {
    const uint32_t command = descriptor.command;
    const bool extended = (command & kTxDext) != 0;
    if (extended && TxType::get(command) == kTxTypeContext) {
        load_context(descriptor);
        return true;
    }
    if (extended && TxType::get(command) != kTxTypeData) return true;  // reserved
    if (!in_frame_) begin(descriptor, extended && (command & kTxTse) != 0);
    // The last descriptor's tag counts [8254x 3.3.3]; segments that leave before it take what
    // drivers put in all of them.
    tagged_ = settings.vlan && (command & kTxVle) != 0;
    tag_ = static_cast<uint16_t>(TxSpecial::get(descriptor.status));
    const size_t length = extended ? TxDataLength::get(command) : TxLegacyLength::get(command);
    if (to.full() || !append(GuestPhys{descriptor.low}, length, dma, to, statistics, settings)) {
        return false;
    }
    if ((command & kTxEop) != 0) {
        if (to.full()) return false;
        finish(descriptor, settings, to, statistics);
    }
    taken_ = 0;
    return true;
}

void Transmitter::finish(const TransmitDescriptor& descriptor, const Settings& settings,
                         TransmitBatch& to, Statistics& statistics) {
    in_frame_ = false;
    if (broken_ || data_.empty()) return;
    if (segmented_) {
        if (data_.size() > segmenting_.header_length) {
            emit_segment(true, settings, to, statistics);
            statistics.count(kTsctc);
        }
        return;
    }
    if ((descriptor.command & kTxDext) == 0 && (descriptor.command & kTxIc) != 0) {
        insert_sum(data_, TxLegacyCss::get(descriptor.status), TxLegacyCso::get(descriptor.command),
                   0);
    }
    const FrameOffload offload = insert_sums(data_, settings);
    emit(data_, offload, settings, to, statistics);
}

// The checksums of a frame that is not segmented; a transport checksum is left to the backend.
FrameOffload Transmitter::insert_sums(std::span<std::byte> frame, const Settings& settings) {
    FrameOffload offload;
    if (sums_.ip) insert_sum(frame, plain_.ip_start, plain_.ip_offset, plain_.ip_end);
    if (!sums_.transport) return offload;
    const Context& context = plain_;
    if (settings.offloads.checksum && context.tu_end == 0 &&
        context.tu_offset >= context.tu_start && size_t{context.tu_offset} + 2 <= frame.size()) {
        offload.needs_checksum = true;
        offload.checksum_start = context.tu_start;
        offload.checksum_offset = static_cast<uint16_t>(context.tu_offset - context.tu_start);
    } else {
        insert_sum(frame, context.tu_start, context.tu_offset, context.tu_end);
    }
    return offload;
}

// What changes from segment to segment [8254x 3.5.8]. Offsets are the driver's: those outside of
// the headers are left alone.
void Transmitter::fix_headers(std::span<std::byte> frame, bool last) {
    const Context& context = segmenting_;
    const size_t header = context.header_length;
    const size_t ip = context.ip_start, transport = context.tu_start;
    if (context.ipv4 && ip + kIpv4MinHeader <= header) {
        store16(frame, ip + kIpv4Length, static_cast<uint16_t>(frame.size() - ip));
        store16(frame, ip + kIpv4Id,
                static_cast<uint16_t>(load16(frame, ip + kIpv4Id) + segments_sent_));
    } else if (!context.ipv4 && ip + kIpv6Header <= header) {
        store16(frame, ip + kIpv6Length, static_cast<uint16_t>(frame.size() - ip - kIpv6Header));
    }
    if (context.tcp && transport + kTcpMinHeader <= header) {
        store32(frame, transport + kTcpSequence,
                load32(frame, transport + kTcpSequence) + payload_sent_);
        if (!last) {
            frame[transport + kTcpFlags] &= static_cast<std::byte>(~(kTcpFin | kTcpPsh));
        }
    } else if (!context.tcp && transport + kUdpHeader <= header) {
        store16(frame, transport + kUdpLength, static_cast<uint16_t>(frame.size() - transport));
    }
    // The driver's sum over the pseudo-header lacks the length.
    const size_t place = context.tu_offset;
    if (sums_.transport && place + 2 <= header && transport <= frame.size()) {
        InternetSum sum;
        sum.add16(load16(frame, place));
        sum.add16(static_cast<uint16_t>(frame.size() - transport));
        store16(frame, place, sum.folded());
    }
}

void Transmitter::emit_segment(bool last, const Settings& settings, TransmitBatch& to,
                               Statistics& statistics) {
    const Context& context = segmenting_;
    const size_t payload = data_.size() - context.header_length;
    frame_.assign(data_.begin(), data_.end());
    fix_headers(frame_, last);
    if (sums_.ip && context.ipv4)
        insert_sum(frame_, context.ip_start, context.ip_offset, context.ip_end);
    FrameOffload offload;
    if (can_leave_whole(settings)) {
        offload.needs_checksum = true;
        offload.checksum_start = context.tu_start;
        offload.checksum_offset = static_cast<uint16_t>(context.tu_offset - context.tu_start);
        if (payload > context.mss) {
            offload.segmentation = context.ipv4 ? FrameOffload::Segmentation::kTcp4
                                                : FrameOffload::Segmentation::kTcp6;
            offload.segment_size = context.mss;
        }
    } else if (sums_.transport) {
        insert_sum(frame_, context.tu_start, context.tu_offset, context.tu_end);
    }
    emit(frame_, offload, settings, to, statistics);
    payload_sent_ += static_cast<uint32_t>(payload);
    segments_sent_ += static_cast<uint32_t>((payload + context.mss - 1) / context.mss);
    data_.resize(context.header_length);
}

void Transmitter::emit(std::span<std::byte> frame, FrameOffload offload, const Settings& settings,
                       TransmitBatch& to, Statistics& statistics) {
    if (frame.size() < kHeaderSize) return;
    std::vector<std::byte> longer;
    if (tagged_ || (settings.pad_short && frame.size() < kMinFrame)) {
        longer.assign(frame.begin(), frame.end());
        if (tagged_) {
            std::array<std::byte, kVlanTagSize> tag;
            store16(tag, 0, settings.vlan_type);
            store16(tag, 2, tag_);
            longer.insert(longer.begin() + kType, tag.begin(), tag.end());
            if (offload.needs_checksum) offload.checksum_start += kVlanTagSize;
        }
        if (settings.pad_short && longer.size() < kMinFrame) longer.resize(kMinFrame);
        frame = longer;
    }
    statistics.sent(destination_of(frame), frame.size() + kCheckSequenceSize);
    to.add(frame, offload);
}

}  // namespace mynah::i82540em
