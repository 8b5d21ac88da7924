#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <shared_mutex>

#include "backend/block/block_backend.h"
#include "backend/block/image/disk_image.h"
#include "backend/block/image/host_file.h"
#include "base/executor.h"
#include "base/mutex.h"

namespace mynah {

struct ImageDiskOptions {
    bool read_only = false;
    bool discard = true;        // hand a guest's discards on
    bool copy_on_read = false;  // keep what was read from backing images
    CacheMode cache = CacheMode::kWriteback;
};

// An image as a disk of a machine.
//
// Reads, and writes to what is allocated, run at once on the submitting thread, several at a time.
// What changes the image's tables runs there too, but alone. Flushing, discarding and zeroing go to
// the executor.
class ImageDisk final : public BlockBackend {
  public:
    // The executor must outlive the disk and run what it was given.
    ImageDisk(std::unique_ptr<DiskImage> image, const ImageDiskOptions& options,
              Executor& slow_work);
    ~ImageDisk() override;
    ImageDisk(const ImageDisk&) = delete;
    ImageDisk& operator=(const ImageDisk&) = delete;

    const BlockGeometry& geometry() const override { return geometry_; }
    void submit(BlockRequest& request) override;

  private:
    // Many readers or one writer. Who waits to write is not overtaken by new readers for ever.
    class TurnLock {
      public:
        void lock() {
            turn_.lock();
            shared_.lock();
            turn_.unlock();
        }
        void unlock() { shared_.unlock(); }
        void lock_shared() {
            turn_.lock();
            shared_.lock_shared();
            turn_.unlock();
        }
        void unlock_shared() { shared_.unlock_shared(); }

      private:
        std::mutex turn_;
        std::shared_mutex shared_;
    };

    BlockStatus read(const BlockRequest& request);
    BlockStatus keep_what_was_read(uint64_t offset, uint64_t size);
    BlockStatus write(const BlockRequest& request);
    BlockStatus write_in_place(const BlockRequest& request, uint64_t& done);
    BlockStatus flush();
    BlockStatus run_slow(const BlockRequest& request);

    const std::unique_ptr<DiskImage> image_;
    const ImageDiskOptions options_;
    BlockGeometry geometry_;
    Executor& slow_work_;
    TurnLock image_lock_;
    Mutex lock_;
    uint32_t slow_in_flight_ GUARDED_BY(lock_) = 0;
    std::condition_variable_any idle_;
};

}  // namespace mynah
