#include "backend/block/raw_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "base/worker_executor.h"

namespace mynah {
namespace {

class Waiter final : public BlockCompletion {
  public:
    void block_done(BlockRequest&, BlockStatus status) override {
        MutexLock hold(lock_);
        status_ = status;
        thread_ = std::this_thread::get_id();
        done_.notify_all();
    }
    BlockStatus wait() {
        MutexLock hold(lock_);
        while (!status_) done_.wait(lock_);
        return *status_;
    }
    std::thread::id thread() const { return thread_; }

  private:
    Mutex lock_;
    std::condition_variable_any done_;
    std::optional<BlockStatus> status_ GUARDED_BY(lock_);
    std::thread::id thread_;
};

class RawFileTest : public ::testing::Test {
  protected:
    static constexpr uint64_t kSize = 1 << 20;

    void SetUp() override {
        char name[] = "/tmp/mynah-raw-file-XXXXXX";
        const int fd = mkstemp(name);
        ASSERT_GE(fd, 0);
        path_ = name;
        const std::vector<char> content(kSize, 'a');
        ASSERT_EQ(write(fd, content.data(), kSize), static_cast<ssize_t>(kSize));
        close(fd);
        reopen();
    }
    void TearDown() override {
        disk_.reset();
        unlink(path_.c_str());
    }
    void reopen(CacheMode cache = CacheMode::kWriteback, bool read_only = false) {
        disk_.reset();
        RawFileOptions options;
        options.path = path_;
        options.cache = cache;
        options.read_only = read_only;
        auto disk = RawFile::open(options, executor_);
        ASSERT_TRUE(disk.ok()) << disk.error().message();
        disk_ = disk.take_value();
    }
    BlockStatus run(BlockRequest request) {
        Waiter waiter;
        request.completion = &waiter;
        disk_->submit(request);
        return waiter.wait();
    }
    BlockStatus transfer(BlockOperation operation, uint64_t offset, std::vector<Slice> slices,
                         bool durable = false) {
        BlockRequest request;
        request.operation = operation;
        request.offset = offset;
        for (const Slice slice : slices) request.size += slice.size();
        request.slices = slices;
        request.durable = durable;
        return run(request);
    }
    BlockStatus ranged(BlockOperation operation, uint64_t offset, uint64_t size,
                       bool may_unmap = false) {
        BlockRequest request;
        request.operation = operation;
        request.offset = offset;
        request.size = size;
        request.may_unmap = may_unmap;
        return run(request);
    }
    char at(uint64_t offset) {
        const int fd = ::open(path_.c_str(), O_RDONLY);
        char c = 0;
        EXPECT_EQ(pread(fd, &c, 1, static_cast<off_t>(offset)), 1);
        close(fd);
        return c;
    }
    uint64_t storage() {
        struct stat info {};
        EXPECT_EQ(stat(path_.c_str(), &info), 0);
        return static_cast<uint64_t>(info.st_blocks) * 512;
    }

    std::string path_;
    WorkerExecutor executor_;
    std::unique_ptr<RawFile> disk_;
};

TEST_F(RawFileTest, ReadsAndWritesScatteredMemory) {
    std::vector<std::byte> first(1000, std::byte{'x'}), second(24, std::byte{'y'});
    EXPECT_EQ(transfer(BlockOperation::kWrite, 512, {first, second}), BlockStatus::kOk);
    EXPECT_EQ(at(511), 'a');
    EXPECT_EQ(at(512), 'x');
    EXPECT_EQ(at(512 + 1000), 'y');
    EXPECT_EQ(at(512 + 1024), 'a');
    std::vector<std::byte> back(1024);
    EXPECT_EQ(
        transfer(BlockOperation::kRead, 512, {Slice(back).first(10), Slice(back).subspan(10)}),
        BlockStatus::kOk);
    EXPECT_EQ(back[999], std::byte{'x'});
    EXPECT_EQ(back[1000], std::byte{'y'});
}

TEST_F(RawFileTest, MoreSlicesThanOneCallTakes) {
    std::vector<std::byte> bytes(700 * 512, std::byte{'z'});
    std::vector<Slice> slices;
    for (size_t i = 0; i < 700; ++i) slices.push_back(Slice(bytes).subspan((699 - i) * 512, 512));
    bytes[0] = std::byte{'0'};  // the last slice's first byte
    EXPECT_EQ(transfer(BlockOperation::kWrite, 0, slices), BlockStatus::kOk);
    EXPECT_EQ(at(0), 'z');
    EXPECT_EQ(at(699 * 512), '0');
    EXPECT_EQ(at(700 * 512), 'a');
}

TEST_F(RawFileTest, DurableWritesWork) {
    std::vector<std::byte> bytes(512, std::byte{'d'});
    EXPECT_EQ(transfer(BlockOperation::kWrite, 0, {bytes}, true), BlockStatus::kOk);
    EXPECT_EQ(at(0), 'd');
    reopen(CacheMode::kWritethrough);
    bytes[0] = std::byte{'e'};
    EXPECT_EQ(transfer(BlockOperation::kWrite, 0, {bytes}), BlockStatus::kOk);
    EXPECT_EQ(at(0), 'e');
    EXPECT_EQ(ranged(BlockOperation::kFlush, 0, 0), BlockStatus::kOk);
}

TEST_F(RawFileTest, TransfersRunAtOnceAndFlushesOnTheExecutor) {
    Waiter read_waiter, flush_waiter;
    std::vector<std::byte> bytes(512);
    const std::vector<Slice> slices{bytes};
    BlockRequest read;
    read.size = 512;
    read.slices = slices;
    read.completion = &read_waiter;
    disk_->submit(read);
    EXPECT_EQ(read_waiter.wait(), BlockStatus::kOk);
    EXPECT_EQ(read_waiter.thread(), std::this_thread::get_id());
    BlockRequest flush;
    flush.operation = BlockOperation::kFlush;
    flush.completion = &flush_waiter;
    disk_->submit(flush);
    EXPECT_EQ(flush_waiter.wait(), BlockStatus::kOk);
    EXPECT_NE(flush_waiter.thread(), std::this_thread::get_id());
}

TEST_F(RawFileTest, RequestsBeyondTheEndFailAndDoNotGrowTheFile) {
    std::vector<std::byte> bytes(1024);
    EXPECT_EQ(transfer(BlockOperation::kWrite, kSize - 512, {bytes}), BlockStatus::kIoError);
    EXPECT_EQ(transfer(BlockOperation::kWrite, kSize, {bytes}), BlockStatus::kIoError);
    EXPECT_EQ(transfer(BlockOperation::kRead, ~uint64_t{511}, {bytes}), BlockStatus::kIoError);
    EXPECT_EQ(ranged(BlockOperation::kDiscard, kSize - 512, 1024), BlockStatus::kIoError);
    EXPECT_EQ(ranged(BlockOperation::kWriteZeroes, 512, ~uint64_t{0}), BlockStatus::kIoError);
    struct stat info {};
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(static_cast<uint64_t>(info.st_size), kSize);
}

TEST_F(RawFileTest, AFileThatShrankGivesErrorsAtItsFormerEnd) {
    ASSERT_EQ(truncate(path_.c_str(), kSize / 2), 0);
    std::vector<std::byte> bytes(1024);
    EXPECT_EQ(transfer(BlockOperation::kRead, kSize / 2 - 512, {bytes}), BlockStatus::kIoError);
    EXPECT_EQ(transfer(BlockOperation::kRead, 0, {bytes}), BlockStatus::kOk);
}

TEST_F(RawFileTest, ReadOnlyDisksRefuseEveryChange) {
    reopen(CacheMode::kWriteback, true);
    std::vector<std::byte> bytes(512, std::byte{'w'});
    EXPECT_EQ(transfer(BlockOperation::kWrite, 0, {bytes}), BlockStatus::kReadOnly);
    EXPECT_EQ(ranged(BlockOperation::kDiscard, 0, 4096), BlockStatus::kReadOnly);
    EXPECT_EQ(ranged(BlockOperation::kWriteZeroes, 0, 4096), BlockStatus::kReadOnly);
    EXPECT_EQ(ranged(BlockOperation::kFlush, 0, 0), BlockStatus::kOk);
    EXPECT_EQ(transfer(BlockOperation::kRead, 0, {bytes}), BlockStatus::kOk);
    EXPECT_EQ(at(0), 'a');
}

TEST_F(RawFileTest, DiscardFreesWholeBlocksOnlyAndKeepsTheSize) {
    EXPECT_EQ(ranged(BlockOperation::kFlush, 0, 0), BlockStatus::kOk);
    const uint64_t before = storage();
    // 512 bytes of the first block and all of the next 63.
    EXPECT_EQ(ranged(BlockOperation::kDiscard, 3584, 512 + 63 * 4096), BlockStatus::kOk);
    EXPECT_EQ(at(3584), 'a');
    struct stat info {};
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(static_cast<uint64_t>(info.st_size), kSize);
    if (storage() == before) GTEST_SKIP() << "this file system has no holes";
    EXPECT_LE(storage(), before - 63 * 4096);
    EXPECT_EQ(at(4096), '\0');
    EXPECT_EQ(at(64 * 4096), 'a');
}

TEST_F(RawFileTest, WriteZeroesZeroesExactlyItsRange) {
    for (const bool may_unmap : {false, true}) {
        reopen();
        EXPECT_EQ(ranged(BlockOperation::kWriteZeroes, 8192 + 512, 10240, may_unmap),
                  BlockStatus::kOk);
        EXPECT_EQ(at(8192 + 511), 'a');
        for (const uint64_t offset : {512, 4096, 10751}) EXPECT_EQ(at(8192 + offset), '\0');
        EXPECT_EQ(at(8192 + 512 + 10240), 'a');
        std::vector<std::byte> bytes(20480, std::byte{'a'});
        EXPECT_EQ(transfer(BlockOperation::kWrite, 8192, {bytes}), BlockStatus::kOk);
    }
}

TEST_F(RawFileTest, EmptyRequestsSucceed) {
    EXPECT_EQ(ranged(BlockOperation::kDiscard, 0, 0), BlockStatus::kOk);
    EXPECT_EQ(ranged(BlockOperation::kWriteZeroes, kSize, 0), BlockStatus::kOk);
    EXPECT_EQ(transfer(BlockOperation::kRead, kSize, {}), BlockStatus::kOk);
}

TEST_F(RawFileTest, DestructionWaitsForSlowWork) {
    std::vector<BlockRequest> requests(50);
    std::vector<Waiter> waiters(50);
    for (size_t i = 0; i < requests.size(); ++i) {
        requests[i].operation = BlockOperation::kFlush;
        requests[i].completion = &waiters[i];
        disk_->submit(requests[i]);
    }
    disk_.reset();
    for (Waiter& waiter : waiters) EXPECT_EQ(waiter.wait(), BlockStatus::kOk);
}

}  // namespace
}  // namespace mynah
