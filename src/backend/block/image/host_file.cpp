#include "backend/block/image/host_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "backend/block/image/slice_cursor.h"
#include "backend/block/image/vector_cursor.h"
#include "base/bits.h"
#include "base/log.h"

namespace mynah {
namespace {

constexpr uint64_t kBounce = 1 << 20;
// Holds for every file system and disk in use, if they do not tell.
constexpr uint64_t kDirectAlignment = 4096;

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

HostFile::HostFile(Fd fd, const HostFileOptions& options, bool block_device, uint64_t size)
    : fd_(std::move(fd)),
      name_(options.path),
      read_only_(options.read_only),
      block_device_(block_device),
      cache_(options.cache),
      device_size_(size) {
    if (bypasses_page_cache(cache_)) learn_direct_alignment();
    struct stat info {};
    if (fstat(fd_.get(), &info) == 0)
        identity_ = {block_device_ ? info.st_rdev : info.st_dev, block_device_ ? 0 : info.st_ino};
}

void HostFile::learn_direct_alignment() {
    direct_alignment_ = direct_memory_alignment_ = kDirectAlignment;
    struct statx told {};
    if (statx(fd_.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &told) != 0 ||
        (told.stx_mask & STATX_DIOALIGN) == 0)
        return;
    const auto plausible = [](uint64_t alignment) {
        return std::has_single_bit(alignment) && alignment <= kDirectAlignment;
    };
    if (!plausible(told.stx_dio_offset_align) || !plausible(told.stx_dio_mem_align)) return;
    direct_alignment_ = told.stx_dio_offset_align;
    direct_memory_alignment_ = told.stx_dio_mem_align;
}

uint64_t HostFile::size() const {
    if (block_device_) return device_size_;
    struct stat info {};
    return fstat(fd_.get(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

BlockStatus HostFile::read(uint64_t offset, std::span<const Slice> to) {
    return transfer(offset, to, Access::kRead);
}

BlockStatus HostFile::read_disk(uint64_t offset, std::span<const Slice> to) {
    return transfer(offset, to, Access::kReadDisk);
}

BlockStatus HostFile::write(uint64_t offset, std::span<const Slice> from) {
    return write_disk(offset, from, false);
}

BlockStatus HostFile::write_disk(uint64_t offset, std::span<const Slice> from, bool durable) {
    if (read_only_) return BlockStatus::kReadOnly;
    durable = writes_through(cache_) || (durable && cache_ != CacheMode::kUnsafe);
    TRY_BLOCK(transfer(offset, from, durable ? Access::kWriteDurable : Access::kWrite));
    // Where writes cannot be durable one by one, they are followed by a flush.
    return durable && data_sync_refused_.load(std::memory_order_relaxed) ? flush()
                                                                         : BlockStatus::kOk;
}

BlockStatus HostFile::read_cached(uint64_t offset, std::span<const Slice> to, uint64_t& done) {
    done = 0;
    if (bypasses_page_cache(cache_) || no_wait_refused_.load(std::memory_order_relaxed))
        return BlockStatus::kOk;
    const uint64_t wanted = total(to);
    if (offset > uint64_t{INT64_MAX} - wanted) return BlockStatus::kIoError;
    VectorCursor cursor(to);
    while (done < wanted) {
        VectorCursor::Vectors room;
        const auto vectors = cursor.gather(room);
        const ssize_t moved =
            preadv2(fd_.get(), vectors.data(), static_cast<int>(vectors.size()),
                    static_cast<off_t>(offset + done), RWF_NOWAIT);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0 && errno == EAGAIN) return BlockStatus::kOk;
        if (moved < 0 && not_supported(errno)) {
            no_wait_refused_.store(true, std::memory_order_relaxed);
            return BlockStatus::kOk;
        }
        if (moved < 0) return failed(errno, offset + done);
        if (moved == 0) return cut_short(offset + done);
        done += static_cast<uint64_t>(moved);
        cursor.advance(static_cast<uint64_t>(moved));
    }
    return BlockStatus::kOk;
}

BlockStatus HostFile::transfer(uint64_t offset, std::span<const Slice> slices, Access access) {
    if (offset > uint64_t{INT64_MAX} - total(slices)) return BlockStatus::kIoError;
    if (direct_alignment_ == 0) return move(offset, slices, access);
    if (!aligned(offset, slices)) return move_unaligned(offset, slices, access);
    const std::shared_lock hold(direct_lock_);
    return move(offset, slices, access);
}

BlockStatus HostFile::failed(int error, uint64_t offset) {
    const BlockStatus status = status_of(error);
    // A guest tries as often as it likes. Who looks for the cause later looks for these words.
    if (failures_.allow())
        log(LogLevel::kError, "{}: {} at byte {}: {}", name_,
            status == BlockStatus::kNoSpace ? "no space left on the host" : "I/O error", offset,
            std::strerror(error));
    return status;
}

BlockStatus HostFile::cut_short(uint64_t offset) {
    if (failures_.allow())
        log(LogLevel::kError,
            "{}: I/O error at byte {}: the file ends before; it was cut short since it was opened",
            name_, offset);
    return BlockStatus::kIoError;
}

BlockStatus HostFile::move(uint64_t offset, std::span<const Slice> slices, Access access) {
    const uint64_t wanted = total(slices);
    VectorCursor cursor(slices);
    for (uint64_t done = 0; done < wanted;) {
        VectorCursor::Vectors room;
        const ssize_t moved = move_once(cursor.gather(room), offset + done, access);
        if (moved < 0) return failed(errno, offset + done);
        done += static_cast<uint64_t>(moved);
        cursor.advance(static_cast<uint64_t>(moved));
        // Behind the end; a direct read ends at the end itself, where no other can begin.
        const bool cut = direct_alignment_ != 0 && done % direct_alignment_ != 0;
        if (done == wanted || (moved > 0 && !cut)) continue;
        if (access == Access::kReadDisk) return cut_short(offset + done);
        if (access != Access::kRead) return BlockStatus::kNoSpace;
        SliceCursor rest(slices);
        rest.take(done);
        rest.fill_zero(wanted - done);
        break;
    }
    return BlockStatus::kOk;
}

ssize_t HostFile::move_once(std::span<const iovec> vectors, uint64_t offset, Access access) {
    const int count = static_cast<int>(vectors.size());
    const auto at = static_cast<off_t>(offset);
    for (;;) {
        const bool data_sync = access == Access::kWriteDurable &&
                               !data_sync_refused_.load(std::memory_order_relaxed);
        const bool reads = access == Access::kRead || access == Access::kReadDisk;
        const ssize_t moved =
            reads ? preadv(fd_.get(), vectors.data(), count, at)
                  : pwritev2(fd_.get(), vectors.data(), count, at, data_sync ? RWF_DSYNC : 0);
        if (moved >= 0) return moved;
        if (data_sync && errno == EOPNOTSUPP)
            data_sync_refused_.store(true, std::memory_order_relaxed);
        else if (errno != EINTR)
            return moved;
    }
}

bool HostFile::aligned(uint64_t offset, std::span<const Slice> slices) const {
    if (direct_alignment_ == 0) return true;
    uint64_t places = offset, addresses = 0;
    for (const Slice& slice : slices) {
        places |= slice.size();
        addresses |= reinterpret_cast<uintptr_t>(slice.data());
    }
    return places % direct_alignment_ == 0 && addresses % direct_memory_alignment_ == 0;
}

// Through a buffer that is aligned. What is written to a block in part is read before.
BlockStatus HostFile::move_unaligned(uint64_t offset, std::span<const Slice> slices,
                                     Access access) {
    const std::unique_ptr<std::byte, FreeDeleter> memory(static_cast<std::byte*>(
        std::aligned_alloc(kDirectAlignment, kBounce)));
    if (memory == nullptr) return BlockStatus::kIoError;
    const bool reads = access == Access::kRead || access == Access::kReadDisk;
    std::unique_lock hold(direct_lock_, std::defer_lock);
    if (!reads) hold.lock();
    SliceCursor cursor(slices);
    for (uint64_t left = total(slices); left > 0;) {
        const uint64_t start = align_down(offset, direct_alignment_);
        const uint64_t skip = offset - start;
        const uint64_t part = std::min(left, kBounce - skip);
        const uint64_t span = align_up(skip + part, direct_alignment_);
        const Slice whole(memory.get(), span);
        if (reads || skip != 0 || part != span)
            TRY_BLOCK(move(start, std::span(&whole, 1), reads ? access : Access::kRead));
        if (reads) {
            cursor.copy_in(whole.subspan(skip, part));
        } else {
            cursor.copy_out(whole.subspan(skip, part));
            const uint64_t before = size();
            TRY_BLOCK(move(start, std::span(&whole, 1), access));
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
    if (block_device_) {
        // Not fallocate: that promises zeroes, which few devices can discard to.
        uint64_t range[2] = {start, size};
        return ioctl(fd_.get(), BLKDISCARD, range) == 0;
    }
    return fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(start), static_cast<off_t>(size)) == 0;
}

BlockStatus HostFile::discard(uint64_t offset, uint64_t size) {
    if (read_only_) return BlockStatus::kReadOnly;
    // A hint: where the host cannot, nothing is lost by doing nothing.
    if (size == 0 || punch_refused_.load(std::memory_order_relaxed)) return BlockStatus::kOk;
    while (!punch(offset, size)) {
        if (errno == EINTR) continue;
        if (!not_supported(errno)) return status_of(errno);
        punch_refused_.store(true, std::memory_order_relaxed);
        break;
    }
    return BlockStatus::kOk;
}

std::optional<BlockStatus> HostFile::allocate(int mode, uint64_t start, uint64_t size,
                                              std::atomic<bool>& refused) {
    if (refused.load(std::memory_order_relaxed)) return std::nullopt;
    while (fallocate(fd_.get(), mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(start),
                     static_cast<off_t>(size)) != 0) {
        if (errno == EINTR) continue;
        if (!not_supported(errno)) return status_of(errno);
        refused.store(true, std::memory_order_relaxed);
        return std::nullopt;
    }
    return BlockStatus::kOk;
}

BlockStatus HostFile::write_zeroes(uint64_t offset, uint64_t bytes, bool may_unmap) {
    if (read_only_) return BlockStatus::kReadOnly;
    if (bytes == 0) return BlockStatus::kOk;
    if (offset > uint64_t{INT64_MAX} - bytes) return BlockStatus::kIoError;
    if (!block_device_ && offset + bytes > size()) TRY_BLOCK(truncate(offset + bytes));
    // A punched hole reads as zeroes, on a file as on a block device, where the kernel refuses to
    // punch if it cannot promise that.
    if (may_unmap)
        if (const auto status = allocate(FALLOC_FL_PUNCH_HOLE, offset, bytes, zero_punch_refused_))
            return *status;
    if (const auto status = allocate(FALLOC_FL_ZERO_RANGE, offset, bytes, zero_range_refused_))
        return *status;
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
