// What has to wait for the medium: reads of what is not cached, transfers past the page cache.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <random>
#include <vector>

#include "backend/block/raw_file.h"
#include "base/worker_executor.h"

namespace mynah {
namespace {

constexpr uint64_t kSize = 4 << 20;

// Counts down to nothing in flight and keeps the worst status.
class Countdown final : public BlockCompletion {
  public:
    void add() {
        MutexLock hold(lock_);
        ++left_;
    }
    void block_done(BlockRequest&, BlockStatus status) override {
        MutexLock hold(lock_);
        if (status != BlockStatus::kOk) worst_ = status;
        if (--left_ == 0) none_left_.notify_all();
    }
    BlockStatus wait() {
        MutexLock hold(lock_);
        while (left_ > 0) none_left_.wait(lock_);
        return worst_;
    }

  private:
    Mutex lock_;
    std::condition_variable_any none_left_;
    uint32_t left_ GUARDED_BY(lock_) = 0;
    BlockStatus worst_ GUARDED_BY(lock_) = BlockStatus::kOk;
};

struct Case {
    CacheMode cache;
    bool asynchronous;
};

class RawFileWaiting : public ::testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        std::string name = ::testing::TempDir() + "mynah-raw-waiting-XXXXXX";
        const int fd = mkstemp(name.data());
        ASSERT_GE(fd, 0);
        path_ = name;
        std::mt19937_64 random(17);
        content_.resize(kSize);
        for (std::byte& byte : content_) byte = static_cast<std::byte>(random());
        ASSERT_EQ(write(fd, content_.data(), kSize), static_cast<ssize_t>(kSize));
        fsync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
        RawFileOptions options;
        options.path = path_;
        options.format_given = true;
        options.cache = GetParam().cache;
        options.asynchronous = GetParam().asynchronous;
        auto disk = RawFile::open(options, executor_);
        if (!disk && bypasses_page_cache(options.cache))
            GTEST_SKIP() << "this file system has no direct transfers";
        ASSERT_TRUE(disk.ok()) << disk.error().message();
        disk_ = disk.take_value();
    }
    void TearDown() override {
        disk_.reset();
        unlink(path_.c_str());
    }

    std::string path_;
    std::vector<std::byte> content_;
    WorkerExecutor executor_;
    std::unique_ptr<RawFile> disk_;
};

// A batch of transfers in flight at once: different sizes, at odd addresses and at aligned ones.
TEST_P(RawFileWaiting, ManyAtOnceMoveTheRightBytes) {
    constexpr size_t kBatch = 300;  // more than a ring takes
    constexpr uint64_t kPart = 12288;
    const std::unique_ptr<std::byte, decltype(&std::free)> memory(
        static_cast<std::byte*>(std::aligned_alloc(4096, kBatch * kPart + 4096)), &std::free);
    for (const BlockOperation operation : {BlockOperation::kRead, BlockOperation::kWrite,
                                           BlockOperation::kRead}) {
        std::vector<BlockRequest> requests(kBatch);
        std::vector<std::vector<Slice>> slices(kBatch);
        Countdown done;
        for (size_t i = 0; i < kBatch; ++i) {
            const uint64_t size = 512 * (1 + i % 20);
            const uint64_t skew = i % 3 == 0 ? 8 : 0;
            std::byte* const at = memory.get() + i * kPart + skew;
            const uint64_t offset = (i * kPart + (i % 4) * 512) % kSize;
            if (operation == BlockOperation::kWrite)
                std::copy_n(content_.begin() + static_cast<ptrdiff_t>(kSize - offset - size), size,
                            at);
            slices[i] = {Slice(at, size / 2), Slice(at + size / 2, size - size / 2)};
            requests[i].operation = operation;
            requests[i].offset = offset;
            requests[i].size = size;
            requests[i].durable = i % 50 == 0;
            requests[i].slices = slices[i];
            requests[i].completion = &done;
            done.add();
        }
        for (BlockRequest& request : requests) disk_->submit(request);
        ASSERT_EQ(done.wait(), BlockStatus::kOk);
        for (size_t i = 0; i < kBatch; ++i) {
            const BlockRequest& request = requests[i];
            const auto at = static_cast<ptrdiff_t>(request.offset);
            const auto size = static_cast<ptrdiff_t>(request.size);
            if (operation == BlockOperation::kRead)
                ASSERT_TRUE(std::equal(content_.begin() + at, content_.begin() + at + size,
                                       slices[i][0].data()))
                    << "request " << i;
            else
                std::copy_n(slices[i][0].data(), size, content_.begin() + at);
        }
    }
}

TEST_P(RawFileWaiting, AFileThatShrankGivesErrors) {
    ASSERT_EQ(truncate(path_.c_str(), kSize / 2), 0);
    std::vector<std::byte> bytes(8192);
    const std::vector<Slice> slices{bytes};
    Countdown done;
    done.add();
    BlockRequest request;
    request.offset = kSize / 2 - 4096;
    request.size = bytes.size();
    request.slices = slices;
    request.completion = &done;
    disk_->submit(request);
    EXPECT_EQ(done.wait(), BlockStatus::kIoError);
}

TEST_P(RawFileWaiting, DestructionWaits) {
    std::vector<std::byte> bytes(64 << 10);
    const std::vector<Slice> slices{bytes};
    std::vector<BlockRequest> requests(64);
    Countdown done;
    for (size_t i = 0; i < requests.size(); ++i) {
        requests[i].offset = i * bytes.size();
        requests[i].size = bytes.size();
        requests[i].slices = slices;
        requests[i].completion = &done;
        done.add();
        disk_->submit(requests[i]);
    }
    disk_.reset();
    EXPECT_EQ(done.wait(), BlockStatus::kOk);
}

INSTANTIATE_TEST_SUITE_P(CacheModes, RawFileWaiting,
                         ::testing::Values(Case{CacheMode::kWriteback, true},
                                           Case{CacheMode::kWriteback, false},
                                           Case{CacheMode::kNone, true},
                                           Case{CacheMode::kNone, false},
                                           Case{CacheMode::kDirectSync, true}));

}  // namespace
}  // namespace mynah
