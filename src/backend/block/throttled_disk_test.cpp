#include "backend/block/throttled_disk.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "testing/memory_disk.h"

namespace mynah {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
constexpr uint64_t kSize = 1 << 20;

// Remembers the order in which requests were done.
class Order final : public BlockCompletion {
  public:
    void block_done(BlockRequest& request, BlockStatus status) override {
        MutexLock hold(lock_);
        EXPECT_EQ(status, BlockStatus::kOk);
        done_.push_back(&request);
        changed_.notify_all();
    }
    std::vector<const BlockRequest*> wait(size_t count) {
        MutexLock hold(lock_);
        while (done_.size() < count) changed_.wait(lock_);
        return done_;
    }
    size_t count() {
        MutexLock hold(lock_);
        return done_.size();
    }

  private:
    Mutex lock_;
    std::condition_variable_any changed_;
    std::vector<const BlockRequest*> done_ GUARDED_BY(lock_);
};

class ThrottledDiskTest : public ::testing::Test {
  protected:
    void start(ThrottleLimits limits) {
        disk_ = std::make_unique<ThrottledDisk>(std::make_unique<testing::MemoryDisk>(kSize), limits);
    }
    std::vector<BlockRequest> requests(size_t count, BlockOperation operation, uint64_t size) {
        std::vector<BlockRequest> made(count);
        for (BlockRequest& request : made) {
            request.operation = operation;
            request.size = size;
            if (operation == BlockOperation::kRead) request.slices = slices_;
            request.completion = &order_;
        }
        return made;
    }

    std::vector<std::byte> bytes_ = std::vector<std::byte>(4096);
    const std::vector<Slice> slices_{bytes_};
    Order order_;
    std::unique_ptr<ThrottledDisk> disk_;
};

// No upper bounds: the host may be slow.
TEST_F(ThrottledDiskTest, RequestsWaitTheirTurn) {
    start({.requests_per_second = 100});
    auto reads = requests(40, BlockOperation::kRead, bytes_.size());
    const auto began = Clock::now();
    for (BlockRequest& request : reads) disk_->submit(request);
    EXPECT_LT(order_.count(), reads.size());
    const auto order = order_.wait(reads.size());
    // A tenth of a second's share is free.
    EXPECT_GE(Clock::now() - began, milliseconds(280));
    for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], &reads[i]);
}

TEST_F(ThrottledDiskTest, BytesAreCounted) {
    start({.bytes_per_second = 40960});
    auto reads = requests(5, BlockOperation::kRead, bytes_.size());
    const auto began = Clock::now();
    for (BlockRequest& request : reads) disk_->submit(request);
    order_.wait(reads.size());
    EXPECT_GE(Clock::now() - began, milliseconds(280));
}

// Nothing is moved: a guest that trims its disk must not wait for days.
TEST_F(ThrottledDiskTest, DiscardsAreNoBytes) {
    start({.bytes_per_second = 1});
    auto discards = requests(20, BlockOperation::kDiscard, kSize);
    for (BlockRequest& request : discards) disk_->submit(request);
    order_.wait(discards.size());
}

TEST_F(ThrottledDiskTest, FlushesAreFreeButDoNotOvertake) {
    start({.requests_per_second = 50});
    auto reads = requests(12, BlockOperation::kRead, bytes_.size());
    auto flush = requests(1, BlockOperation::kFlush, 0);
    for (BlockRequest& request : reads) disk_->submit(request);
    disk_->submit(flush[0]);
    EXPECT_EQ(order_.wait(13).back(), &flush[0]);
}

TEST_F(ThrottledDiskTest, WhatWaitsIsDoneAtTheEnd) {
    start({.requests_per_second = 1});
    auto reads = requests(30, BlockOperation::kRead, bytes_.size());
    for (BlockRequest& request : reads) disk_->submit(request);
    disk_.reset();
    EXPECT_EQ(order_.count(), reads.size());
}

}  // namespace
}  // namespace mynah
