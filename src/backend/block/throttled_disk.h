#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <thread>

#include "backend/block/block_backend.h"
#include "base/mutex.h"

namespace mynah {

struct ThrottleLimits {
    uint64_t requests_per_second = 0;  // 0: any number
    uint64_t bytes_per_second = 0;
};

// A disk that does no more than so much in a second. Up to a tenth of a second's share is done at
// once; what comes on top waits its turn, in order, and is handed on by a thread of its own.
// Flushes are free, but do not overtake. Requests that wait when the disk is destroyed are done at
// once.
class ThrottledDisk final : public BlockBackend {
  public:
    ThrottledDisk(std::unique_ptr<BlockBackend> disk, ThrottleLimits limits);
    ~ThrottledDisk() override;
    ThrottledDisk(const ThrottledDisk&) = delete;
    ThrottledDisk& operator=(const ThrottledDisk&) = delete;

    const BlockGeometry& geometry() const override { return disk_->geometry(); }
    void submit(BlockRequest& request) override;

  private:
    using Clock = std::chrono::steady_clock;

    // How long this request has to wait; taken from the account if it need not.
    Clock::duration charge(const BlockRequest& request, Clock::time_point now) REQUIRES(lock_);
    void run();

    const std::unique_ptr<BlockBackend> disk_;
    const ThrottleLimits limits_;
    Mutex lock_;
    std::condition_variable_any changed_;
    std::deque<BlockRequest*> waiting_ GUARDED_BY(lock_);
    // When what was done so far would be done at the allowed pace.
    Clock::time_point requests_paid_until_ GUARDED_BY(lock_);
    Clock::time_point bytes_paid_until_ GUARDED_BY(lock_);
    bool stopping_ GUARDED_BY(lock_) = false;
    std::thread thread_;
};

}  // namespace mynah
