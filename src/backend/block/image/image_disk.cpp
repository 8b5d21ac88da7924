#include "backend/block/image/image_disk.h"

#include <algorithm>

#include "backend/block/image/slice_cursor.h"
#include "base/bits.h"

namespace mynah {
namespace {

constexpr uint64_t kBounce = 1 << 20;
// Limits of one request that keep the work within seconds.
constexpr uint64_t kMaxDiscard = uint64_t{1} << 30;
constexpr uint64_t kMaxZeroes = uint64_t{256} << 20;

BlockGeometry geometry_of(const DiskImage& image, const ImageDiskOptions& options) {
    BlockGeometry geometry;
    geometry.size = align_down(image.size(), 512);
    geometry.physical_block_size = 4096;  // what file systems on the host work in
    geometry.read_only = options.read_only || image.read_only();
    geometry.can_discard = options.discard && !geometry.read_only;
    geometry.can_write_zeroes = !geometry.read_only;
    geometry.discard_alignment = std::max<uint64_t>(image.cluster_size(), 4096);
    geometry.max_discard_size = kMaxDiscard;
    geometry.max_write_zeroes_size = kMaxZeroes;
    return geometry;
}

}  // namespace

ImageDisk::ImageDisk(std::unique_ptr<DiskImage> image, const ImageDiskOptions& options,
                     Executor& slow_work)
    : image_(std::move(image)),
      options_(options),
      geometry_(geometry_of(*image_, options)),
      slow_work_(slow_work) {}

ImageDisk::~ImageDisk() {
    MutexLock hold(lock_);
    while (slow_in_flight_ > 0) idle_.wait(lock_);
}

void ImageDisk::submit(BlockRequest& request) {
    const bool reads = request.operation == BlockOperation::kRead;
    const bool flushes = request.operation == BlockOperation::kFlush;
    const auto finish = [&request](BlockStatus status) {
        request.completion->block_done(request, status);
    };
    if (!reads && !flushes && geometry_.read_only) return finish(BlockStatus::kReadOnly);
    if (!flushes &&
        (request.offset > geometry_.size || request.size > geometry_.size - request.offset))
        return finish(BlockStatus::kIoError);
    if (reads) return finish(read(request));
    if (request.operation == BlockOperation::kWrite) return finish(write(request));
    if (flushes && geometry_.read_only) return finish(BlockStatus::kOk);
    {
        MutexLock hold(lock_);
        ++slow_in_flight_;
    }
    slow_work_.post([this, &request] {
        const BlockStatus status = run_slow(request);
        request.completion->block_done(request, status);
        MutexLock hold(lock_);
        if (--slow_in_flight_ == 0) idle_.notify_all();
    });
}

BlockStatus ImageDisk::read(const BlockRequest& request) {
    {
        const std::shared_lock hold(image_lock_);
        TRY_BLOCK(image_->read(request.offset, request.slices));
    }
    // Reading succeeded: a failure to keep it is none of the read.
    if (options_.copy_on_read && !geometry_.read_only)
        (void)keep_what_was_read(request.offset, request.size);
    return BlockStatus::kOk;
}

BlockStatus ImageDisk::keep_what_was_read(uint64_t offset, uint64_t size) {
    const uint64_t unit = std::max<uint64_t>(image_->cluster_size(), 512);
    const uint64_t end = std::min(align_up(offset + size, unit), geometry_.size);
    std::vector<std::byte> bytes;
    for (offset = align_down(offset, unit); offset < end;) {
        ImageExtent extent;
        {
            const std::shared_lock hold(image_lock_);
            TRY_BLOCK(image_->map(offset, end - offset, extent));
        }
        const uint64_t part = std::min(extent.size, kBounce);
        if (extent.kind == ImageExtent::Kind::kBacking) {
            // Alone, and looked at again: somebody may have written since.
            const std::unique_lock hold(image_lock_);
            TRY_BLOCK(image_->map(offset, part, extent));
            if (extent.kind == ImageExtent::Kind::kBacking) {
                bytes.resize(extent.size);
                TRY_BLOCK(image_->read_bytes(offset, bytes));
                TRY_BLOCK(image_->write(offset, bytes));
            }
        }
        offset += std::min(extent.size, part);
    }
    return BlockStatus::kOk;
}

// As much from the front as can be written where it is.
BlockStatus ImageDisk::write_in_place(const BlockRequest& request, uint64_t& done) {
    const std::shared_lock hold(image_lock_);
    SliceCursor cursor(request.slices);
    while (done < request.size) {
        ImageExtent extent;
        TRY_BLOCK(image_->map(request.offset + done, request.size - done, extent));
        if (extent.kind != ImageExtent::Kind::kData || !extent.in_place) break;
        TRY_BLOCK(extent.file->write(extent.file_offset, cursor.take(extent.size)));
        done += extent.size;
    }
    return BlockStatus::kOk;
}

BlockStatus ImageDisk::write(const BlockRequest& request) {
    uint64_t done = 0;
    TRY_BLOCK(write_in_place(request, done));
    if (done < request.size) {
        SliceCursor cursor(request.slices);
        cursor.take(done);
        std::vector<std::byte> bytes;
        const std::unique_lock hold(image_lock_);
        while (done < request.size) {
            bytes.resize(std::min(request.size - done, kBounce));
            cursor.copy_out(bytes);
            TRY_BLOCK(image_->write(request.offset + done, bytes));
            done += bytes.size();
        }
    }
    const bool durable = writes_through(options_.cache) ||
                         (request.durable && options_.cache != CacheMode::kUnsafe);
    return durable ? flush() : BlockStatus::kOk;
}

BlockStatus ImageDisk::flush() {
    {
        // Waiting for the medium alone keeps nobody from reading.
        const std::shared_lock hold(image_lock_);
        if (!image_->has_unwritten_tables()) return image_->flush();
    }
    const std::unique_lock hold(image_lock_);
    return image_->flush();
}

BlockStatus ImageDisk::run_slow(const BlockRequest& request) {
    switch (request.operation) {
        case BlockOperation::kFlush:
            return flush();
        case BlockOperation::kDiscard: {
            if (!options_.discard) return BlockStatus::kOk;
            const std::unique_lock hold(image_lock_);
            return image_->discard(request.offset, request.size);
        }
        case BlockOperation::kWriteZeroes: {
            {
                const std::unique_lock hold(image_lock_);
                TRY_BLOCK(image_->write_zeroes(request.offset, request.size,
                                               request.may_unmap && options_.discard));
            }
            const bool durable = writes_through(options_.cache) || request.durable;
            return durable && options_.cache != CacheMode::kUnsafe ? flush() : BlockStatus::kOk;
        }
        case BlockOperation::kRead:
        case BlockOperation::kWrite:
            break;
    }
    return BlockStatus::kIoError;
}

}  // namespace mynah
