#pragma once

#include <atomic>
#include <memory>

#include "backend/block/image/file_lock.h"
#include "backend/block/image/image_file.h"
#include "base/mutex.h"
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
    bool read_only() const override { return read_only_; }
    uint64_t size() const override;
    BlockStatus read(uint64_t offset, std::span<const Slice> to) override;
    BlockStatus write(uint64_t offset, std::span<const Slice> from) override;
    BlockStatus flush() override;
    BlockStatus discard(uint64_t offset, uint64_t size) override;
    BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) override;
    BlockStatus truncate(uint64_t size) override;

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

    BlockStatus transfer(uint64_t offset, std::span<const Slice> slices, bool writes);
    BlockStatus transfer_direct(uint64_t offset, std::span<const Slice> slices, bool writes);
    bool aligned(uint64_t offset, std::span<const Slice> slices) const;
    bool punch(uint64_t start, uint64_t size);
    BlockStatus write_zero_bytes(uint64_t offset, uint64_t size);

    const Fd fd_;
    const std::string name_;
    const bool read_only_;
    const bool block_device_;
    const CacheMode cache_;
    const uint64_t device_size_;  // of a block device, which cannot grow
    uint64_t direct_alignment_ = 0;  // 0: through the page cache
    Identity identity_{};
    Mutex bounce_lock_;  // read, change, write of blocks that are written in part
    std::atomic<bool> punch_refused_{false};
    // A failed fdatasync may have dropped the dirty pages and the error with them; the next one
    // would claim success. So the file stays failed for flushes.
    std::atomic<bool> flush_failed_{false};
};

}  // namespace mynah
