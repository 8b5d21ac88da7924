#include "paravirt/virtio/virtio_block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::block;

// One request of the driver from the ring to its answer, whatever it turns into.
struct VirtioBlock::Request : BlockRequest {
    VirtioQueue* queue = nullptr;
    DescriptorChain chain;
    RequestHeader header{};
    SliceList status;                    // one byte: the last of the writable part
    std::vector<RangeSegment> segments;  // of discard and write zeroes
    size_t segments_begun = 0;
};

VirtioBlock::VirtioBlock(BlockBackend& backend, VirtioBlockOptions options)
    : backend_(backend),
      geometry_(backend.geometry()),
      options_(std::move(options)),
      writeback_(options_.writeback) {
    CHECK(options_.queues >= 1 && options_.queues <= kMaxQueues);
}

VirtioBlock::~VirtioBlock() = default;

uint32_t VirtioBlock::device_id() const { return virtio::kDeviceBlock; }

uint64_t VirtioBlock::features() const {
    uint64_t bits = kFeatureSizeMax | kFeatureSegMax | kFeatureBlkSize | kFeatureTopology |
                    kFeatureFlush | kFeatureConfigWce | kFeatureLifetime;
    if (geometry_.read_only) bits |= kFeatureReadOnly;
    if (options_.queues > 1) bits |= kFeatureMq;
    if (geometry_.can_discard && !geometry_.read_only) bits |= kFeatureDiscard;
    if (geometry_.can_write_zeroes && !geometry_.read_only) bits |= kFeatureWriteZeroes;
    return bits;
}

void VirtioBlock::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    const uint32_t block = geometry_.logical_block_size;
    const auto sectors = [](uint64_t bytes) {
        return static_cast<uint32_t>(std::min<uint64_t>(bytes / kSectorSize, ~uint32_t{0}));
    };
    config.capacity = geometry_.size / kSectorSize;
    config.size_max = kMaxBuffer;
    config.seg_max = kQueueSize - 2;  // beside header and status
    config.blk_size = block;
    const uint32_t per_physical = std::max<uint32_t>(geometry_.physical_block_size / block, 1);
    config.physical_block_exp = static_cast<uint8_t>(std::bit_width(per_physical) - 1);
    config.min_io_size = static_cast<uint16_t>(std::min<uint32_t>(per_physical, 0xffff));
    config.writeback = writeback_.load(std::memory_order_relaxed) ? 1 : 0;
    config.num_queues = options_.queues;
    if ((features() & kFeatureDiscard) != 0) {
        config.max_discard_sectors = sectors(geometry_.max_discard_size);
        config.max_discard_seg = kMaxSegments;
        config.discard_sector_alignment = sectors(geometry_.discard_alignment);
    }
    if ((features() & kFeatureWriteZeroes) != 0) {
        config.max_write_zeroes_sectors = sectors(geometry_.max_write_zeroes_size);
        config.max_write_zeroes_seg = kMaxSegments;
        config.write_zeroes_may_unmap = geometry_.can_discard ? 1 : 0;
    }
    read_config_bytes(config, offset, to);
}

void VirtioBlock::write_config(uint64_t offset, std::span<const std::byte> from) {
    // Only `writeback` can be written, and only where that was negotiated [virtio-1.2 5.2.4].
    constexpr uint64_t kPlace = offsetof(Config, writeback);
    if (offset > kPlace || offset + from.size() <= kPlace) return;
    if ((negotiated_.load(std::memory_order_relaxed) & kFeatureConfigWce) == 0) return;
    writeback_.store((from[kPlace - offset] & std::byte{1}) != std::byte{0},
                     std::memory_order_relaxed);
}

void VirtioBlock::negotiated(uint64_t features) {
    negotiated_.store(features, std::memory_order_relaxed);
    // A driver that cannot flush must start with a cache written through [virtio-1.2 5.2.5.2].
    if ((features & kFeatureFlush) == 0) writeback_.store(false, std::memory_order_relaxed);
}

void VirtioBlock::reset() {
    negotiated_.store(0, std::memory_order_relaxed);
    writeback_.store(options_.writeback, std::memory_order_relaxed);
}

void VirtioBlock::serve(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    if (batch.left == 0) return;
    for (;;) {
        std::unique_ptr<Request> request = new_request();
        if (!queue.take(batch, request->chain)) {
            recycle(std::move(request));
            return;
        }
        request->queue = &queue;
        begin(std::move(request));
    }
}

void VirtioBlock::begin(std::unique_ptr<Request> request) {
    // Framing is the driver's choice: only the bytes count, not how they lie in buffers
    // [virtio-1.2 2.7.4].
    if (!request->chain.readable.take_front(
            std::as_writable_bytes(std::span(&request->header, 1))) ||
        !request->chain.writable.take_back(1, request->status)) {
        // There is nowhere to put an answer, or nothing to answer.
        VirtioQueue& queue = *request->queue;
        recycle(std::move(request));
        queue.reject();
        return;
    }
    if (const std::optional<uint8_t> status = prepare(*request)) {
        finish(std::move(request), *status);
        return;
    }
    request->completion = this;
    backend_.submit(*request.release());  // comes back in block_done()
}

std::optional<uint8_t> VirtioBlock::prepare(Request& request) {
    switch (request.header.type) {
        case kIn:
            request.operation = BlockOperation::kRead;
            return prepare_transfer(request);
        case kOut:
            request.operation = BlockOperation::kWrite;
            return prepare_transfer(request);
        case virtio::block::kFlush:
            request.operation = BlockOperation::kFlush;
            return std::nullopt;
        case kGetId:
            return answer_id(request);
        case kGetLifetime:
            return answer_lifetime(request);
        case kDiscard:
            if ((features() & kFeatureDiscard) == 0) return kStatusUnsupported;
            request.operation = BlockOperation::kDiscard;
            return prepare_segments(request);
        case kWriteZeroes:
            if ((features() & kFeatureWriteZeroes) == 0) return kStatusUnsupported;
            request.operation = BlockOperation::kWriteZeroes;
            return prepare_segments(request);
        default:
            return kStatusUnsupported;  // [virtio-1.2 5.2.6.2]
    }
}

bool VirtioBlock::within_disk(uint64_t sector, uint64_t bytes) const {
    if (bytes % geometry_.logical_block_size != 0) return false;
    if (sector > geometry_.size / kSectorSize) return false;  // so that the product cannot overflow
    const uint64_t offset = sector * kSectorSize;
    return offset % geometry_.logical_block_size == 0 && bytes <= geometry_.size - offset;
}

std::optional<uint8_t> VirtioBlock::prepare_transfer(Request& request) {
    const bool writes = request.operation == BlockOperation::kWrite;
    if (writes && geometry_.read_only) return kStatusIoError;  // [virtio-1.2 5.2.6.2]
    const SliceList& data = writes ? request.chain.readable : request.chain.writable;
    if (!within_disk(request.header.sector, data.size())) return kStatusIoError;
    if (data.empty()) return kStatusOk;
    request.offset = request.header.sector * kSectorSize;
    request.size = data.size();
    request.slices = data.slices();
    request.durable = writes && stable_writes();
    return std::nullopt;
}

std::optional<uint8_t> VirtioBlock::prepare_segments(Request& request) {
    const bool zeroes = request.operation == BlockOperation::kWriteZeroes;
    SliceList& data = request.chain.readable;
    const uint64_t count = data.size() / sizeof(RangeSegment);
    if (data.size() % sizeof(RangeSegment) != 0 || count == 0 || count > kMaxSegments) {
        return kStatusIoError;
    }
    request.segments.resize(count);
    if (!data.take_front(std::as_writable_bytes(std::span(request.segments))))
        return kStatusIoError;
    const uint64_t limit = zeroes ? geometry_.max_write_zeroes_size : geometry_.max_discard_size;
    for (const RangeSegment& segment : request.segments) {
        // Unmap belongs to write zeroes only; other bits are unknown [virtio-1.2 5.2.6.2].
        if ((segment.flags & ~(zeroes ? kSegmentUnmap : 0)) != 0) return kStatusUnsupported;
        const uint64_t bytes = uint64_t{segment.num_sectors} * kSectorSize;
        if (bytes > limit || !within_disk(segment.sector, bytes)) return kStatusIoError;
    }
    request.segments_begun = 0;
    return next_segment(request) ? std::nullopt : std::optional<uint8_t>(kStatusOk);
}

// Makes the request one for the segment that comes next; false if there is none.
bool VirtioBlock::next_segment(Request& request) {
    if (request.segments_begun == request.segments.size()) return false;
    const RangeSegment& segment = request.segments[request.segments_begun++];
    request.offset = segment.sector * kSectorSize;
    request.size = uint64_t{segment.num_sectors} * kSectorSize;
    request.slices = {};
    request.may_unmap = (segment.flags & kSegmentUnmap) != 0;
    request.durable = request.operation == BlockOperation::kWriteZeroes && stable_writes();
    return true;
}

uint8_t VirtioBlock::answer_id(Request& request) {
    // Ends with a zero byte only if it is shorter than the field [virtio-1.2 5.2.6].
    std::array<char, kIdSize> id{};
    options_.id.copy(id.data(), id.size());
    request.size = request.chain.writable.fill(std::as_bytes(std::span(id)));
    return kStatusOk;
}

// A file does not wear out.
uint8_t VirtioBlock::answer_lifetime(Request& request) {
    const Lifetime lifetime{};
    if (request.chain.writable.size() < sizeof lifetime) return kStatusIoError;
    request.size = request.chain.writable.fill(std::as_bytes(std::span(&lifetime, 1)));
    return kStatusOk;
}

// [virtio-1.2 5.2.6.2]: a write is stable if the driver has no means to flush, or has switched
// the cache to write-through.
bool VirtioBlock::stable_writes() const { return !writeback_.load(std::memory_order_relaxed); }

void VirtioBlock::block_done(BlockRequest& done, BlockStatus status) {
    std::unique_ptr<Request> request(static_cast<Request*>(&done));
    if (status == BlockStatus::kOk && next_segment(*request)) {
        backend_.submit(*request.release());  // nests at most kMaxSegments deep
        return;
    }
    switch (status) {
        case BlockStatus::kOk:
            finish(std::move(request), kStatusOk);
            return;
        case BlockStatus::kUnsupported:
            finish(std::move(request), kStatusUnsupported);
            return;
        case BlockStatus::kIoError:
        case BlockStatus::kNoSpace:
        case BlockStatus::kReadOnly:
            break;
    }
    finish(std::move(request), kStatusIoError);
}

void VirtioBlock::finish(std::unique_ptr<Request> request, uint8_t status) {
    const auto byte = static_cast<std::byte>(status);
    request->status.fill(std::span(&byte, 1));
    // The length covers what is new from the start of the writable part on, without gaps
    // [virtio-1.2 2.7.8.2]: the status byte at its end counts only if all before it was written.
    const uint64_t room = request->chain.writable.size();
    uint64_t written = 0;
    if (status == kStatusOk && request->header.type == kIn) written = room;
    const uint32_t type = request->header.type;
    if (status == kStatusOk && (type == kGetId || type == kGetLifetime)) written = request->size;
    if (written == room) ++written;
    VirtioQueue& queue = *request->queue;
    const uint16_t head = request->chain.head;
    queue.wrote(request->chain.writable);
    queue.wrote(request->status);
    recycle(std::move(request));
    queue.give_back(head, static_cast<uint32_t>(std::min<uint64_t>(written, ~uint32_t{0})));
}

std::unique_ptr<VirtioBlock::Request> VirtioBlock::new_request() {
    {
        MutexLock hold(pool_lock_);
        if (!pool_.empty()) {
            std::unique_ptr<Request> request = std::move(pool_.back());
            pool_.pop_back();
            return request;
        }
    }
    return std::make_unique<Request>();
}

void VirtioBlock::recycle(std::unique_ptr<Request> request) {
    static_cast<BlockRequest&>(*request) = BlockRequest{};
    request->status.clear();
    request->segments.clear();
    request->segments_begun = 0;
    MutexLock hold(pool_lock_);
    // As many as were ever in flight together: bounded by the queues, small in practice.
    pool_.push_back(std::move(request));
}

}  // namespace mynah
