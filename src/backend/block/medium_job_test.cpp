#include "backend/block/medium_job.h"

#include <gtest/gtest.h>

#include <thread>

#include "testing/memory_disk.h"

namespace mynah {
namespace {

class Owner final : public MediumJobOwner {
  public:
    void job_done(MediumJob&, BlockStatus with) override {
        status = with;
        ++calls;
    }
    BlockStatus status = BlockStatus::kOk;
    int calls = 0;
};

MediumWork discards(BlockBackend& backend, size_t count) {
    MediumWork work;
    work.operation = BlockOperation::kDiscard;
    work.backend = &backend;
    for (size_t i = 0; i < count; ++i) work.ranges.push_back({i * 1024, 512});
    return work;
}

TEST(MediumJob, WhatIsDoneAtOnceIsReturned) {
    testing::MemoryDisk disk(1 << 20);
    Owner owner;
    MediumJob job(owner);
    const MediumWork work = discards(disk, 1000);
    EXPECT_EQ(job.start(work, {}), BlockStatus::kOk);
    EXPECT_EQ(disk.records().size(), 1000u);
    EXPECT_EQ(owner.calls, 0);
}

TEST(MediumJob, WhatComesLaterIsToldOnce) {
    testing::MemoryDisk disk(1 << 20);
    disk.hold(true);
    Owner owner;
    MediumJob job(owner);
    const MediumWork work = discards(disk, 3);
    EXPECT_EQ(job.start(work, {}), std::nullopt);
    EXPECT_TRUE(disk.release_one());
    EXPECT_EQ(owner.calls, 0);
    EXPECT_TRUE(disk.release_one());
    EXPECT_TRUE(disk.release_one());
    EXPECT_EQ(owner.calls, 1);
    EXPECT_EQ(owner.status, BlockStatus::kOk);
    EXPECT_EQ(disk.records()[2].offset, 2048u);
}

TEST(MediumJob, AnErrorEndsIt) {
    testing::MemoryDisk disk(1 << 20);
    disk.fail_with(BlockStatus::kNoSpace);
    Owner owner;
    MediumJob job(owner);
    const MediumWork work = discards(disk, 3);
    EXPECT_EQ(job.start(work, {}), BlockStatus::kNoSpace);
    EXPECT_EQ(disk.records().size(), 1u);
}

TEST(MediumJob, RangesAreCutToWhatTheBackendTakes) {
    BlockGeometry geometry;
    geometry.size = 1 << 20;
    geometry.can_discard = true;
    geometry.max_discard_size = 1000;  // two blocks do not fit
    testing::MemoryDisk disk(geometry);
    Owner owner;
    MediumJob job(owner);
    MediumWork work;
    work.operation = BlockOperation::kDiscard;
    work.backend = &disk;
    work.ranges = {{1024, 1536}};
    EXPECT_EQ(job.start(work, {}), BlockStatus::kOk);
    ASSERT_EQ(disk.records().size(), 3u);
    EXPECT_EQ(disk.records()[2].offset, 2048u);
    EXPECT_EQ(disk.records()[2].size, 512u);
}

// A backend that completes on another thread while submit() is still under way, or after it.
class RacingBackend final : public BlockBackend {
  public:
    const BlockGeometry& geometry() const override { return geometry_; }
    void submit(BlockRequest& request) override {
        thread_ =
            std::thread([&request] { request.completion->block_done(request, BlockStatus::kOk); });
        if (++count_ % 2 == 0)
            thread_.join();
        else
            thread_.detach();
    }

  private:
    BlockGeometry geometry_{1 << 20};
    std::thread thread_;
    int count_ = 0;
};

TEST(MediumJob, CompletionMayRaceWithSubmission) {
    class Counter final : public MediumJobOwner {
      public:
        void job_done(MediumJob&, BlockStatus) override { done.store(true); }
        std::atomic<bool> done{false};
    };
    for (int round = 0; round < 200; ++round) {
        RacingBackend backend;
        Counter owner;
        MediumJob job(owner);
        MediumWork work;
        work.operation = BlockOperation::kFlush;
        work.backend = &backend;
        work.ranges.assign(2, {0, 0});
        if (!job.start(work, {})) {
            while (!owner.done.load()) std::this_thread::yield();
        }
    }
}

}  // namespace
}  // namespace mynah
