#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>

#include "backend/block/block_backend.h"
#include "backend/block/image/host_file.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/result.h"
#include "host/io_ring.h"

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
    // Let the kernel do on its own what would keep the submitting thread waiting (io_uring).
    bool asynchronous = true;
    // How the operator named the disk, for messages.
    std::string option = "--disk path=";
};

// A file or block device whose bytes are the disk.
//
// What the host's page cache can answer or take is done at once on the submitting thread. What has
// to wait for the medium (a read of what is not cached, every transfer past the cache, a durable
// write) is handed to an io_uring; where the host has none it, too, is done at once. Flushing,
// discarding and zeroing can take long and go to the executor. The size is what
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
    class Waiting;  // a transfer that the ring carries out

    RawFile(std::unique_ptr<HostFile> file, BlockGeometry geometry, const RawFileOptions& options,
            Executor& slow_work);

    // False: it goes on by itself, and completes the request.
    bool transfer(BlockRequest& request, BlockStatus& status);
    bool wait_elsewhere(BlockRequest& request, uint64_t done);
    BlockStatus write_start(const BlockRequest& request);
    bool wants_durable(const BlockRequest& request) const;
    BlockStatus run_slow(const BlockRequest& request);
    void begin();
    void finish(BlockRequest& request, BlockStatus status);

    const std::unique_ptr<HostFile> file_;
    const BlockGeometry geometry_;
    const bool guards_start_;
    const bool discard_;
    Executor& slow_work_;
    std::unique_ptr<IoRing> ring_;  // null: none
    Mutex lock_;
    uint32_t in_flight_ GUARDED_BY(lock_) = 0;  // on the executor and in the ring
    std::condition_variable_any idle_;
};

}  // namespace mynah
