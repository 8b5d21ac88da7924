#include "backend/block/image/host_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "backend/block/image/slice_cursor.h"
#include "base/bits.h"
#include "base/log.h"

namespace mynah {
namespace {

// One system call moves no more; both are far above what guests ask for.
constexpr size_t kMaxVectors = 256;
constexpr uint64_t kMaxTransfer = uint64_t{1} << 30;
constexpr uint64_t kBounce = 1 << 20;
// Holds for every file system and disk in use.
constexpr uint64_t kDirectAlignment = 4096;

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

uint64_t total(std::span<const Slice> slices) {
    uint64_t size = 0;
    for (const Slice& slice : slices) size += slice.size();
    return size;
}

struct FreeDeleter {
    void operator()(std::byte* memory) const { std::free(memory); }
};

}  // namespace

HostFile::HostFile(Fd fd, const HostFileOptions& options, bool block_device, uint64_t size)
    : fd_(std::move(fd)),
      name_(options.path),
      read_only_(options.read_only),
      block_device_(block_device),
      cache_(options.cache),
      device_size_(size) {
    if (bypasses_page_cache(cache_)) direct_alignment_ = kDirectAlignment;
    struct stat info {};
    if (fstat(fd_.get(), &info) == 0)
        identity_ = {block_device_ ? info.st_rdev : info.st_dev, block_device_ ? 0 : info.st_ino};
}

uint64_t HostFile::size() const {
    if (block_device_) return device_size_;
    struct stat info {};
    return fstat(fd_.get(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

BlockStatus HostFile::read(uint64_t offset, std::span<const Slice> to) {
    if (direct_alignment_ != 0 && !aligned(offset, to)) return transfer_direct(offset, to, false);
    return transfer(offset, to, false);
}

BlockStatus HostFile::write(uint64_t offset, std::span<const Slice> from) {
    if (read_only_) return BlockStatus::kReadOnly;
    if (direct_alignment_ != 0 && !aligned(offset, from))
        TRY_BLOCK(transfer_direct(offset, from, true));
    else
        TRY_BLOCK(transfer(offset, from, true));
    return writes_through(cache_) ? flush() : BlockStatus::kOk;
}

BlockStatus HostFile::transfer(uint64_t offset, std::span<const Slice> slices, bool writes) {
    const uint64_t wanted = total(slices);
    if (offset > uint64_t{INT64_MAX} - wanted) return BlockStatus::kIoError;
    uint64_t done = 0;
    size_t first = 0, within = 0;
    while (done < wanted) {
        std::array<iovec, kMaxVectors> vectors;
        int count = 0;
        uint64_t bytes = 0;
        for (size_t i = first, skip = within;
             i < slices.size() && count < int{kMaxVectors} && bytes < kMaxTransfer; ++i, skip = 0) {
            const uint64_t part = std::min<uint64_t>(slices[i].size() - skip, kMaxTransfer - bytes);
            if (part == 0) continue;
            vectors[static_cast<size_t>(count++)] = {slices[i].data() + skip, part};
            bytes += part;
        }
        const auto at = static_cast<off_t>(offset + done);
        const ssize_t moved = writes ? pwritev(fd_.get(), vectors.data(), count, at)
                                     : preadv(fd_.get(), vectors.data(), count, at);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return status_of(errno);
        if (moved == 0 && writes) return BlockStatus::kNoSpace;
        done += static_cast<uint64_t>(moved);
        for (uint64_t left = static_cast<uint64_t>(moved); left > 0;) {
            const uint64_t part = std::min<uint64_t>(left, slices[first].size() - within);
            left -= part;
            within += part;
            if (within == slices[first].size()) ++first, within = 0;
        }
        // Beyond the end; a direct read ends at the end itself, where no other can begin.
        const bool cut = direct_alignment_ != 0 && !writes && done % direct_alignment_ != 0;
        if (moved == 0 || (cut && done < wanted)) {
            SliceCursor rest(slices);
            rest.take(done);
            rest.fill_zero(wanted - done);
            return BlockStatus::kOk;
        }
    }
    return BlockStatus::kOk;
}

bool HostFile::aligned(uint64_t offset, std::span<const Slice> slices) const {
    uint64_t ored = offset;
    for (const Slice& slice : slices)
        ored |= reinterpret_cast<uintptr_t>(slice.data()) | slice.size();
    return (ored & (direct_alignment_ - 1)) == 0;
}

BlockStatus HostFile::transfer_direct(uint64_t offset, std::span<const Slice> slices, bool writes) {
    const std::unique_ptr<std::byte, FreeDeleter> memory(static_cast<std::byte*>(
        std::aligned_alloc(kDirectAlignment, kBounce)));
    if (memory == nullptr) return BlockStatus::kIoError;
    MutexLock hold(bounce_lock_);
    SliceCursor cursor(slices);
    uint64_t left = total(slices);
    while (left > 0) {
        const uint64_t start = align_down(offset, direct_alignment_);
        const uint64_t skip = offset - start;
        const uint64_t part = std::min(left, kBounce - skip);
        const uint64_t span = align_up(skip + part, direct_alignment_);
        const Slice whole(memory.get(), span);
        if (!writes || skip != 0 || part != span)
            TRY_BLOCK(transfer(start, std::span(&whole, 1), false));
        if (!writes) {
            cursor.copy_in(whole.subspan(skip, part));
        } else {
            cursor.copy_out(whole.subspan(skip, part));
            const uint64_t before = size();
            TRY_BLOCK(transfer(start, std::span(&whole, 1), true));
            // The padding is not part of the file.
            const uint64_t end = std::max(before, offset + part);
            if (!block_device_ && start + span > end) TRY_BLOCK(truncate(end));
        }
        offset += part;
        left -= part;
    }
    return BlockStatus::kOk;
}

BlockStatus HostFile::flush() {
    if (read_only_ || cache_ == CacheMode::kUnsafe) return BlockStatus::kOk;
    if (flush_failed_.load(std::memory_order_relaxed)) return BlockStatus::kIoError;
    while (fdatasync(fd_.get()) != 0) {
        if (errno == EINTR) continue;
        if (!flush_failed_.exchange(true))
            log(LogLevel::kError, "{}: cannot be flushed ({}): flushes fail from now on", name_,
                std::strerror(errno));
        return BlockStatus::kIoError;
    }
    return BlockStatus::kOk;
}

bool HostFile::punch(uint64_t start, uint64_t size) {
    return fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(start), static_cast<off_t>(size)) == 0;
}

BlockStatus HostFile::discard(uint64_t offset, uint64_t size) {
    if (read_only_) return BlockStatus::kReadOnly;
    // A hint: where the host cannot, nothing is lost by doing nothing.
    if (size == 0 || block_device_ || punch_refused_.load(std::memory_order_relaxed))
        return BlockStatus::kOk;
    while (!punch(offset, size)) {
        if (errno == EINTR) continue;
        if (!not_supported(errno)) return status_of(errno);
        punch_refused_.store(true, std::memory_order_relaxed);
        break;
    }
    return BlockStatus::kOk;
}

BlockStatus HostFile::write_zeroes(uint64_t offset, uint64_t bytes, bool may_unmap) {
    if (read_only_) return BlockStatus::kReadOnly;
    if (bytes == 0) return BlockStatus::kOk;
    if (offset > uint64_t{INT64_MAX} - bytes) return BlockStatus::kIoError;
    if (!block_device_ && offset + bytes > size()) TRY_BLOCK(truncate(offset + bytes));
    const auto start = static_cast<off_t>(offset), length = static_cast<off_t>(bytes);
    if (may_unmap && punch(offset, bytes)) return BlockStatus::kOk;
    if (fallocate(fd_.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, start, length) == 0)
        return BlockStatus::kOk;
    if (!not_supported(errno) && errno != EINTR) return status_of(errno);
    return write_zero_bytes(offset, bytes);
}

BlockStatus HostFile::write_zero_bytes(uint64_t offset, uint64_t bytes) {
    alignas(kDirectAlignment) static std::array<std::byte, 64 * 1024> zeroes{};  // never written
    while (bytes > 0) {
        const uint64_t part = std::min<uint64_t>(bytes, zeroes.size());
        TRY_BLOCK(write_bytes(offset, std::span(zeroes).first(part)));
        offset += part;
        bytes -= part;
    }
    return BlockStatus::kOk;
}

BlockStatus HostFile::truncate(uint64_t bytes) {
    if (read_only_) return BlockStatus::kReadOnly;
    if (block_device_) return bytes <= device_size_ ? BlockStatus::kOk : BlockStatus::kNoSpace;
    if (bytes > uint64_t{INT64_MAX}) return BlockStatus::kNoSpace;
    while (ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0)
        if (errno != EINTR) return errno == EINVAL ? BlockStatus::kNoSpace : status_of(errno);
    return BlockStatus::kOk;
}

bool HostFile::next_data(uint64_t offset, uint64_t& start, uint64_t& end) const {
    const off_t data = lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) {
        if (errno == ENXIO) return false;
        start = offset;  // cannot tell: all of it
        end = size();
        return start < end;
    }
    const off_t hole = lseek(fd_.get(), data, SEEK_HOLE);
    start = static_cast<uint64_t>(data);
    end = hole < 0 ? size() : static_cast<uint64_t>(hole);
    return start < end;
}

uint64_t HostFile::allocated_bytes() const {
    struct stat info {};
    return fstat(fd_.get(), &info) == 0 ? static_cast<uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace mynah
