#include "backend/block/raw_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "backend/block/image/probe.h"
#include "backend/block/image/slice_cursor.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/log.h"

namespace mynah {

namespace {

// Both are far above what guests ask for, and keep one system call short enough.
constexpr size_t kMaxVectors = 256;
constexpr uint64_t kMaxTransfer = uint64_t{1} << 30;  // preadv cuts at just below 2 GiB anyway

BlockStatus status_of(int error) {
    switch (error) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            return BlockStatus::kNoSpace;
        case EROFS:
        case EPERM:
        case EBADF:
            return BlockStatus::kReadOnly;
        default:
            return BlockStatus::kIoError;
    }
}

bool not_supported(int error) {
    return error == EOPNOTSUPP || error == ENOSYS || error == ENODEV || error == EINVAL;
}

// Walks a list of slices as vectors for preadv and pwritev, from wherever the last call ended.
class VectorCursor {
  public:
    explicit VectorCursor(std::span<const Slice> slices) : slices_(slices) {}

    // The next vectors, up to kMaxVectors and kMaxTransfer bytes.
    int gather(std::array<iovec, kMaxVectors>& to) const {
        size_t count = 0;
        uint64_t bytes = 0;
        size_t skip = within_;
        for (size_t i = next_; i < slices_.size() && count < to.size() && bytes < kMaxTransfer;
             ++i) {
            const uint64_t part =
                std::min<uint64_t>(slices_[i].size() - skip, kMaxTransfer - bytes);
            to[count++] = iovec{slices_[i].data() + skip, part};
            bytes += part;
            skip = 0;
        }
        return static_cast<int>(count);
    }
    void advance(uint64_t bytes) {
        while (bytes > 0) {
            const uint64_t part = std::min<uint64_t>(bytes, slices_[next_].size() - within_);
            bytes -= part;
            within_ += part;
            if (within_ == slices_[next_].size()) {
                ++next_;
                within_ = 0;
            }
        }
    }

  private:
    std::span<const Slice> slices_;
    size_t next_ = 0;
    uint64_t within_ = 0;
};

}  // namespace

RawFile::RawFile(int fd, BlockGeometry geometry, bool block_device,
                 const RawFileOptions& options, Executor& slow_work)
    : fd_(fd),
      geometry_(geometry),
      block_device_(block_device),
      cache_(options.cache),
      guards_start_(!options.format_given),
      discard_(options.discard),
      slow_work_(slow_work) {}

RawFile::~RawFile() {
    {
        MutexLock hold(lock_);
        while (slow_in_flight_ > 0) idle_.wait(lock_);
    }
    close(fd_);  // and with it the lock
}

void RawFile::submit(BlockRequest& request) {
    const bool changes =
        request.operation != BlockOperation::kRead && request.operation != BlockOperation::kFlush;
    if (changes && geometry_.read_only) {
        request.completion->block_done(request, BlockStatus::kReadOnly);
        return;
    }
    if (request.operation != BlockOperation::kFlush &&
        (request.offset > geometry_.size || request.size > geometry_.size - request.offset)) {
        request.completion->block_done(request, BlockStatus::kIoError);
        return;
    }
    if (guards_start_ && request.operation == BlockOperation::kWrite &&
        request.offset < kSignatureBytes && request.size > 0) {
        request.completion->block_done(request, write_start(request));
        return;
    }
    if (request.operation == BlockOperation::kRead || request.operation == BlockOperation::kWrite) {
        request.completion->block_done(request, transfer(request));
        return;
    }
    if (request.operation == BlockOperation::kFlush &&
        (cache_ == CacheMode::kUnsafe || writes_through(cache_) || geometry_.read_only)) {
        request.completion->block_done(request, BlockStatus::kOk);
        return;
    }
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

bool RawFile::wants_durable(const BlockRequest& request) const {
    return writes_through(cache_) || (request.durable && cache_ != CacheMode::kUnsafe);
}

// A write to the first block. A guest could choose its next start's disk format, and with it files
// of the host to read; so the block is copied, for the guest may change its memory, and looked at.
BlockStatus RawFile::write_start(const BlockRequest& request) {
    alignas(512) std::array<std::byte, kSignatureBytes> start{};
    SliceCursor cursor(request.slices);
    const Slice first = Slice(start).first(std::min<uint64_t>(request.size, start.size()));
    cursor.copy_out(first);
    if (const char* format = signature_format(start); format != nullptr) {
        static LogLimit limit;
        if (limit.allow())
            log(LogLevel::kWarning, "a guest's write that would make its raw disk look like a {} "
                                    "image was refused; with format=raw it is allowed", format);
        return BlockStatus::kIoError;
    }
    std::vector<Slice> slices{first};
    const auto rest = cursor.take(request.size - first.size());
    slices.insert(slices.end(), rest.begin(), rest.end());
    BlockRequest copy = request;
    copy.slices = slices;
    return transfer(copy);
}

// O_DIRECT wants memory at whole blocks, which guests need not have.
BlockStatus RawFile::transfer_direct(const BlockRequest& request) {
    constexpr uint64_t kAlignment = 4096, kBounce = 1 << 20;
    const std::unique_ptr<void, decltype(&std::free)> memory(
        std::aligned_alloc(kAlignment, kBounce), &std::free);
    if (memory == nullptr) return BlockStatus::kIoError;
    auto* bytes = static_cast<std::byte*>(memory.get());
    const bool writes = request.operation == BlockOperation::kWrite;
    SliceCursor cursor(request.slices);
    for (uint64_t done = 0; done < request.size;) {
        const uint64_t part = std::min(request.size - done, kBounce);
        if (writes) cursor.copy_out(std::span(bytes, part));
        const auto at = static_cast<off_t>(request.offset + done);
        const ssize_t moved = writes ? pwrite(fd_, bytes, part, at) : pread(fd_, bytes, part, at);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return status_of(errno);
        if (moved == 0) return BlockStatus::kIoError;
        if (moved % 512 != 0) return BlockStatus::kIoError;
        if (!writes) cursor.copy_in(std::span(bytes, static_cast<size_t>(moved)));
        if (writes && static_cast<uint64_t>(moved) < part) return BlockStatus::kIoError;
        done += static_cast<uint64_t>(moved);
    }
    return writes && wants_durable(request) ? flush() : BlockStatus::kOk;
}

BlockStatus RawFile::transfer(const BlockRequest& request) {
    if (bypasses_page_cache(cache_)) {
        const bool aligned = std::ranges::all_of(request.slices, [](const Slice& slice) {
            return ((reinterpret_cast<uintptr_t>(slice.data()) | slice.size()) & 511) == 0;
        });
        if (!aligned) return transfer_direct(request);
    }
    const bool writes = request.operation == BlockOperation::kWrite;
    const bool durable = writes && wants_durable(request);
    VectorCursor cursor(request.slices);
    uint64_t done = 0;
    while (done < request.size) {
        std::array<iovec, kMaxVectors> vectors;
        const int count = cursor.gather(vectors);
        const auto offset = static_cast<off_t>(request.offset + done);
        const bool data_sync = durable && !data_sync_refused_.load(std::memory_order_relaxed);
        const ssize_t moved =
            writes ? pwritev2(fd_, vectors.data(), count, offset, data_sync ? RWF_DSYNC : 0)
                   : preadv(fd_, vectors.data(), count, offset);
        if (moved < 0) {
            if (errno == EINTR) continue;
            if (!data_sync || errno != EOPNOTSUPP) return status_of(errno);
            data_sync_refused_.store(true, std::memory_order_relaxed);
            continue;
        }
        // The file has become shorter than the disk.
        if (moved == 0) return BlockStatus::kIoError;
        done += static_cast<uint64_t>(moved);
        cursor.advance(static_cast<uint64_t>(moved));
    }
    // Where writes cannot be durable one by one, they are followed by a flush.
    if (durable && data_sync_refused_.load(std::memory_order_relaxed)) return flush();
    return BlockStatus::kOk;
}

BlockStatus RawFile::run_slow(const BlockRequest& request) {
    switch (request.operation) {
        case BlockOperation::kFlush:
            return flush();
        case BlockOperation::kDiscard:
            return discard(request);
        case BlockOperation::kWriteZeroes: {
            const BlockStatus status = write_zeroes(request);
            return status == BlockStatus::kOk && wants_durable(request) ? flush() : status;
        }
        case BlockOperation::kRead:
        case BlockOperation::kWrite:
            break;
    }
    return BlockStatus::kIoError;
}

BlockStatus RawFile::flush() {
    // Once the host failed to write back, it may have dropped the data and forgotten the error; the
    // next call would claim success. So the disk cannot be flushed any more.
    if (flush_failed_.load(std::memory_order_relaxed)) return BlockStatus::kIoError;
    while (fdatasync(fd_) != 0) {
        if (errno == EINTR) continue;
        if (!flush_failed_.exchange(true)) {
            log(LogLevel::kError, "a disk could not be flushed ({}): flushes fail from now on",
                std::strerror(errno));
        }
        return BlockStatus::kIoError;
    }
    return BlockStatus::kOk;
}

BlockStatus RawFile::discard(const BlockRequest& request) {
    // A hint: where the host cannot, nothing is lost by doing nothing.
    if (request.size == 0 || !discard_ || punch_refused_.load(std::memory_order_relaxed))
        return BlockStatus::kOk;
    // Only whole blocks can lose their storage; the ragged ends would be zeroed for no gain.
    const uint64_t start = align_up(request.offset, geometry_.discard_alignment);
    const uint64_t end = align_down(request.offset + request.size, geometry_.discard_alignment);
    if (start >= end) return BlockStatus::kOk;
    while (!punch(start, end - start)) {
        if (errno == EINTR) continue;
        if (!not_supported(errno)) return status_of(errno);
        punch_refused_.store(true, std::memory_order_relaxed);
        break;
    }
    return BlockStatus::kOk;
}

bool RawFile::punch(uint64_t start, uint64_t size) {
    if (block_device_) {
        // Not fallocate: that promises zeroes, which few devices can discard to.
        uint64_t range[2] = {start, size};
        return ioctl(fd_, BLKDISCARD, range) == 0;
    }
    return fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(start),
                     static_cast<off_t>(size)) == 0;
}

BlockStatus RawFile::write_zeroes(const BlockRequest& request) {
    if (request.size == 0) return BlockStatus::kOk;
    const auto offset = static_cast<off_t>(request.offset);
    const auto size = static_cast<off_t>(request.size);
    const auto try_mode = [&](int mode, std::atomic<bool>& refused) -> std::optional<BlockStatus> {
        if (refused.load(std::memory_order_relaxed)) return std::nullopt;
        while (fallocate(fd_, mode | FALLOC_FL_KEEP_SIZE, offset, size) != 0) {
            if (errno == EINTR) continue;
            if (!not_supported(errno)) return status_of(errno);
            refused.store(true, std::memory_order_relaxed);
            return std::nullopt;
        }
        return BlockStatus::kOk;
    };
    // A punched hole reads as zeroes, on a file as on a block device, where the kernel
    // refuses to punch if it cannot promise that.
    if (request.may_unmap) {
        if (const auto status = try_mode(FALLOC_FL_PUNCH_HOLE, zero_punch_refused_)) return *status;
    }
    if (const auto status = try_mode(FALLOC_FL_ZERO_RANGE, zero_range_refused_)) return *status;
    return write_zero_bytes(request.offset, request.size);
}

BlockStatus RawFile::write_zero_bytes(uint64_t offset, uint64_t size) {
    alignas(4096) static constexpr std::array<std::byte, 64 * 1024> kZeroes{};
    while (size > 0) {
        const size_t part = std::min<uint64_t>(size, kZeroes.size());
        const ssize_t written = pwrite(fd_, kZeroes.data(), part, static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return status_of(errno);
        if (written == 0) return BlockStatus::kIoError;
        offset += static_cast<uint64_t>(written);
        size -= static_cast<uint64_t>(written);
    }
    return BlockStatus::kOk;
}

}  // namespace mynah
