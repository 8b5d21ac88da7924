#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <memory>
#include <optional>
#include <shared_mutex>

#include "base/log.h"
#include "backend/block/image/file_lock.h"
#include "backend/block/image/image_file.h"
#include "host/fd.h"

namespace mynah {

// When the host's page cache is emptied onto the medium.
enum class CacheMode : uint8_t {
    kWriteback,     // when the guest flushes, as a disk with a volatile cache does
    kWritethrough,  // at every write
    kUnsafe,        // when the host likes; a power cut may ruin the disk. For throw-away machines
    kNone,          // past the page cache (O_DIRECT), otherwise as kWriteback
    kDirectSync,    // past the page cache and at every write
};

constexpr bool bypasses_page_cache(CacheMode mode) {
    return mode == CacheMode::kNone || mode == CacheMode::kDirectSync;
}
constexpr bool writes_through(CacheMode mode) {
    return mode == CacheMode::kWritethrough || mode == CacheMode::kDirectSync;
}

// What an error number of the host means for a disk.
BlockStatus status_of(int error);

struct HostFileOptions {
    std::string path;
    bool read_only = false;
    bool create = false;  // must not exist unless `overwrite`; made empty
    bool overwrite = false;
    bool lock = true;
    CacheMode cache = CacheMode::kWriteback;
};

// A file or block device of the host as the bytes of an image. Transfers run on the calling
// thread. With O_DIRECT, what is not aligned goes through an aligned buffer.
class HostFile final : public ImageFile {
  public:
    // Error: begins with the path. Nothing is written unless `create`.
    static Result<std::unique_ptr<HostFile>> open(const HostFileOptions& options);

    const std::string& name() const override { return name_; }
    // What a transfer that failed is answered with; says so in the log. Any thread.
    BlockStatus failed(int error, uint64_t offset);
    // Of a read behind the file's end: says so in the log.
    BlockStatus cut_short(uint64_t offset);
    bool read_only() const override { return read_only_; }
    uint64_t size() const override;
    BlockStatus read(uint64_t offset, std::span<const Slice> to) override;
    BlockStatus write(uint64_t offset, std::span<const Slice> from) override;
    BlockStatus flush() override;
    BlockStatus discard(uint64_t offset, uint64_t size) override;
    BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) override;
    BlockStatus truncate(uint64_t size) override;

    // A disk's transfers: a read behind the file's end fails, a durable write is on the medium
    // before it is done.
    BlockStatus read_disk(uint64_t offset, std::span<const Slice> to);
    BlockStatus write_disk(uint64_t offset, std::span<const Slice> from, bool durable);
    // Reads as much from the front as the page cache holds, and waits for nothing.
    BlockStatus read_cached(uint64_t offset, std::span<const Slice> to, uint64_t& done);

    // For transfers past this object. With O_DIRECT only what is aligned() can be transferred so;
    // and writes only if no write can cover a block in part.
    int fd() const { return fd_.get(); }
    uint64_t direct_alignment() const { return direct_alignment_; }  // bytes; 0: page cache
    bool aligned(uint64_t offset, std::span<const Slice> slices) const;
    CacheMode cache() const { return cache_; }
    bool is_block_device() const { return block_device_; }
    // Tells one file from another, whatever it is called.
    struct Identity {
        uint64_t device, inode;
        bool operator==(const Identity&) const = default;
    };
    Identity identity() const { return identity_; }
    // The next range that has storage, at or behind `offset`; for copying only what is there.
    // False: nothing more.
    bool next_data(uint64_t offset, uint64_t& start, uint64_t& end) const;
    uint64_t allocated_bytes() const;

  private:
    HostFile(Fd fd, const HostFileOptions& options, bool block_device, uint64_t size);

    enum class Access : uint8_t { kRead, kReadDisk, kWrite, kWriteDurable };

    BlockStatus transfer(uint64_t offset, std::span<const Slice> slices, Access access);
    BlockStatus move(uint64_t offset, std::span<const Slice> slices, Access access);
    ssize_t move_once(std::span<const iovec> vectors, uint64_t offset, Access access);
    BlockStatus move_unaligned(uint64_t offset, std::span<const Slice> slices, Access access);
    void learn_direct_alignment();
    bool punch(uint64_t start, uint64_t size);
    // Nothing: the host cannot.
    std::optional<BlockStatus> allocate(int mode, uint64_t start, uint64_t size,
                                        std::atomic<bool>& refused);
    BlockStatus write_zero_bytes(uint64_t offset, uint64_t size);

    const Fd fd_;
    const std::string name_;
    const bool read_only_;
    const bool block_device_;
    const CacheMode cache_;
    const uint64_t device_size_;  // of a block device, which cannot grow
    // Of places and sizes, and of addresses; 0: through the page cache.
    uint64_t direct_alignment_ = 0, direct_memory_alignment_ = 0;
    Identity identity_{};
    // Blocks that are written in part are read, changed and written: alone, or what others write
    // meanwhile would be lost.
    std::shared_mutex direct_lock_;
    // The host said that it cannot: not tried again.
    std::atomic<bool> punch_refused_{false}, zero_punch_refused_{false}, zero_range_refused_{false};
    std::atomic<bool> data_sync_refused_{false}, no_wait_refused_{false};
    // A failed fdatasync may have dropped the dirty pages and the error with them; the next one
    // would claim success. So the file stays failed for flushes.
    LogLimit failures_;
    std::atomic<bool> flush_failed_{false};
};

}  // namespace mynah
