#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>

#include "backend/block/block_backend.h"
#include "backend/block/image/host_file.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/result.h"

namespace mynah {

struct RawFileOptions {
    std::string path;
    bool read_only = false;
    CacheMode cache = CacheMode::kWriteback;
    // The operator said that the bytes are the disk (format=raw). Otherwise a file that bears
    // the signature of another disk format is refused: a guest must not see, and so be able to
    // write, the header of an image format.
    bool format_given = false;
    bool discard = true;  // hand a guest's discards on
    // How the operator named the disk, for messages.
    std::string option = "--disk path=";
};

// A file or block device whose bytes are the disk.
//
// Reads and writes run at once on the submitting thread (preadv, pwritev through the page cache).
// Flushing, discarding and zeroing can take long and go to the executor. The size is what
// the file has when it is opened, a whole number of blocks of 512 bytes; a file that shrinks
// later gives I/O errors at its former end. While open, the file carries advisory locks
// (image/file_lock.h): writers exclude everyone, readers exclude writers.
// Unless the operator said that the disk is raw, writes that would put the signature of another
// format at its start fail: the next start would take the disk for an image.
// Left out: growing while in use.
class RawFile final : public BlockBackend {
  public:
    // Error: names option and path and says what was expected. The executor must outlive the disk
    // and must run what it was given.
    static Result<std::unique_ptr<RawFile>> open(const RawFileOptions& options,
                                                 Executor& slow_work);
    ~RawFile() override;
    RawFile(const RawFile&) = delete;
    RawFile& operator=(const RawFile&) = delete;

    const BlockGeometry& geometry() const override { return geometry_; }
    void submit(BlockRequest& request) override;

  private:
    RawFile(int fd, BlockGeometry geometry, bool block_device, const RawFileOptions& options,
            Executor& slow_work);

    BlockStatus write_start(const BlockRequest& request);
    BlockStatus transfer(const BlockRequest& request);
    BlockStatus transfer_direct(const BlockRequest& request);
    BlockStatus run_slow(const BlockRequest& request);
    bool wants_durable(const BlockRequest& request) const;
    bool punch(uint64_t start, uint64_t size);
    BlockStatus discard(const BlockRequest& request);
    BlockStatus write_zeroes(const BlockRequest& request);
    BlockStatus write_zero_bytes(uint64_t offset, uint64_t size);
    BlockStatus flush();

    const int fd_;
    const BlockGeometry geometry_;
    const bool block_device_;
    const CacheMode cache_;
    const bool guards_start_;
    const bool discard_;
    Executor& slow_work_;
    Mutex lock_;
    uint32_t slow_in_flight_ GUARDED_BY(lock_) = 0;
    std::condition_variable_any idle_;
    // The host said that it cannot: not tried again.
    std::atomic<bool> data_sync_refused_{false};
    std::atomic<bool> punch_refused_{false};
    std::atomic<bool> zero_punch_refused_{false};
    std::atomic<bool> zero_range_refused_{false};
    // A failed fdatasync may have dropped the dirty pages and the error with them; the next one
    // would claim success. So the disk stays failed for flushes.
    std::atomic<bool> flush_failed_{false};
};

}  // namespace mynah
