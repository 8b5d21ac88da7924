#include "backend/block/throttled_disk.h"

#include <algorithm>

namespace mynah {
namespace {

constexpr auto kBurst = std::chrono::milliseconds(100);

}  // namespace

ThrottledDisk::ThrottledDisk(std::unique_ptr<BlockBackend> disk, ThrottleLimits limits)
    : disk_(std::move(disk)), limits_(limits) {
    thread_ = std::thread([this] { run(); });
}

ThrottledDisk::~ThrottledDisk() {
    {
        MutexLock hold(lock_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

ThrottledDisk::Clock::duration ThrottledDisk::charge(const BlockRequest& request,
                                                     Clock::time_point now) {
    if (request.operation == BlockOperation::kFlush) return {};
    const auto late = std::max(requests_paid_until_, bytes_paid_until_) - now - kBurst;
    if (late > Clock::duration::zero()) return late;
    const auto cost = [](uint64_t amount, uint64_t per_second) {
        constexpr double kLongest = 3600;  // nobody waits longer for one request
        const double seconds =
            std::min(static_cast<double>(amount) / static_cast<double>(per_second), kLongest);
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    };
    if (limits_.requests_per_second > 0)
        requests_paid_until_ =
            std::max(requests_paid_until_, now) + cost(1, limits_.requests_per_second);
    const bool moves_bytes = request.operation == BlockOperation::kRead ||
                             request.operation == BlockOperation::kWrite;
    if (limits_.bytes_per_second > 0 && moves_bytes)
        bytes_paid_until_ =
            std::max(bytes_paid_until_, now) + cost(request.size, limits_.bytes_per_second);
    return {};
}

void ThrottledDisk::submit(BlockRequest& request) {
    {
        MutexLock hold(lock_);
        if (!waiting_.empty() || charge(request, Clock::now()) > Clock::duration::zero()) {
            waiting_.push_back(&request);
            changed_.notify_all();
            return;
        }
    }
    disk_->submit(request);
}

void ThrottledDisk::run() {
    for (;;) {
        BlockRequest* next = nullptr;
        {
            MutexLock hold(lock_);
            while (next == nullptr) {
                if (waiting_.empty()) {
                    if (stopping_) return;
                    changed_.wait(lock_);
                    continue;
                }
                const auto wait = stopping_ ? Clock::duration::zero()
                                            : charge(*waiting_.front(), Clock::now());
                if (wait > Clock::duration::zero()) {
                    changed_.wait_for(lock_, wait);
                    continue;
                }
                next = waiting_.front();
            }
        }
        // It stays in front meanwhile, so that nothing overtakes it.
        disk_->submit(*next);
        MutexLock hold(lock_);
        waiting_.pop_front();
    }
}

}  // namespace mynah
