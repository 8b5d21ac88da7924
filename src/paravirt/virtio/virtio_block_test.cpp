#include "paravirt/virtio/virtio_block.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "paravirt/virtio/virtio_mmio.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::block;
using testing::GuestBuffer;
using testing::GuestQueue;
using testing::MemoryDisk;

constexpr uint64_t kRam = 4 << 20;
constexpr uint64_t kDisk = 1 << 20;
constexpr uint8_t kUntouched = 0xee;
constexpr uint64_t kRings = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc;

class VirtioBlockTest : public ::testing::Test {
  protected:
    explicit VirtioBlockTest(uint64_t disk_size = kDisk) : disk_(disk_size) { make(); }
    explicit VirtioBlockTest(BlockGeometry geometry) : disk_(geometry) { make(); }

    void make(VirtioBlockOptions options = {}) {
        mmio_.reset();
        if (options.id.empty()) options.id = "serial-number";
        device_ = std::make_unique<VirtioBlock>(disk_, options);
        mmio_ = std::make_unique<VirtioMmio>(*device_, view_, line_);
        driver_ = std::make_unique<testing::VirtioDriver>(*mmio_, *memory_, GuestPhys{0x1000});
    }
    void begin(uint64_t features = kFeatureFlush | kFeatureConfigWce) {
        ASSERT_TRUE(driver_->negotiate(kRings | features));
        queue_.emplace(driver_->make_queue(0));
        driver_->driver_ok();
    }

    struct Answer {
        uint8_t status = kUntouched;
        uint32_t length = ~0u;
        bool used = false;
    };
    // Makes a request available: header, data, status.
    GuestPhys submit(uint32_t type, uint64_t sector, std::span<const GuestBuffer> data,
                     bool indirect = false) {
        const GuestPhys header = driver_->allocator().take(sizeof(RequestHeader));
        const GuestPhys status = driver_->allocator().take(1);
        EXPECT_TRUE(memory_->store(header, RequestHeader{type, 0, sector}));
        EXPECT_TRUE(memory_->store(status, kUntouched));
        std::vector<GuestBuffer> buffers{{header, sizeof(RequestHeader), false}};
        buffers.insert(buffers.end(), data.begin(), data.end());
        buffers.push_back({status, 1, true});
        queue_->add(buffers, indirect);
        return status;
    }
    Answer answer(GuestPhys status) {
        const auto used = queue_->take_used();
        return {memory_->load<uint8_t>(status).value(), used ? used->length : ~0u,
                used.has_value()};
    }
    Answer run(uint32_t type, uint64_t sector, std::span<const GuestBuffer> data,
               bool indirect = false) {
        const GuestPhys status = submit(type, sector, data, indirect);
        driver_->announce(0, *queue_);
        return answer(status);
    }
    Answer run(uint32_t type, uint64_t sector, GuestPhys data, uint32_t size) {
        const GuestBuffer buffer{data, size, type == kIn || type == kGetId};
        return run(type, sector, {&buffer, 1});
    }
    Answer run_segments(uint32_t type, std::vector<RangeSegment> segments) {
        const auto size = static_cast<uint32_t>(segments.size() * sizeof(RangeSegment));
        const GuestPhys place = driver_->allocator().take(size + 1);
        EXPECT_TRUE(memory_->write(place, std::as_bytes(std::span(segments))));
        return run(type, 0, place, size);
    }
    GuestPhys filled(uint32_t size, uint8_t value) {
        const GuestPhys place = driver_->allocator().take(size);
        EXPECT_TRUE(memory_->fill(place, std::byte{value}, size));
        return place;
    }
    std::byte on_disk(uint64_t offset) { return disk_.bytes()[offset]; }
    bool needs_reset() { return (driver_->status() & virtio::kStatusNeedsReset) != 0; }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    MemoryDisk disk_;
    std::unique_ptr<VirtioBlock> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::unique_ptr<testing::VirtioDriver> driver_;
    std::optional<GuestQueue> queue_;
};

TEST_F(VirtioBlockTest, FeaturesAndConfiguration) {
    EXPECT_EQ(driver_->read(8), 2u);
    EXPECT_EQ(device_->features(), kFeatureSizeMax | kFeatureSegMax | kFeatureBlkSize |
                                       kFeatureTopology | kFeatureFlush | kFeatureConfigWce |
                                       kFeatureDiscard | kFeatureWriteZeroes | kFeatureLifetime);
    EXPECT_EQ(driver_->config<uint64_t>(0), kDisk / 512);
    EXPECT_EQ(driver_->config<uint32_t>(8), VirtioBlock::kMaxBuffer);
    EXPECT_EQ(driver_->config<uint32_t>(12), 254u);  // seg_max
    EXPECT_EQ(driver_->config<uint32_t>(20), 512u);  // blk_size
    EXPECT_EQ(driver_->config<uint8_t>(24), 0u);     // physical_block_exp
    EXPECT_EQ(driver_->config<uint8_t>(32), 1u);     // writeback
    EXPECT_EQ(driver_->config<uint16_t>(34), 1u);    // num_queues
    EXPECT_EQ(driver_->config<uint32_t>(36), kDisk / 512);
    EXPECT_EQ(driver_->config<uint32_t>(40), VirtioBlock::kMaxSegments);
    EXPECT_EQ(driver_->config<uint32_t>(44), 1u);
    EXPECT_EQ(driver_->config<uint32_t>(48), kDisk / 512);
    EXPECT_EQ(driver_->config<uint32_t>(52), VirtioBlock::kMaxSegments);
    EXPECT_EQ(driver_->config<uint8_t>(56), 1u);
    EXPECT_EQ(driver_->config<uint32_t>(60), 0u);  // no secure erase
    EXPECT_EQ(driver_->config<uint64_t>(72), 0u);
}

TEST_F(VirtioBlockTest, ReadsWhatWasWritten) {
    begin();
    EXPECT_EQ(run(kOut, 3, filled(1024, 0x5a), 1024).status, kStatusOk);
    EXPECT_EQ(on_disk(3 * 512 - 1), std::byte{0});
    EXPECT_EQ(on_disk(3 * 512), std::byte{0x5a});
    EXPECT_EQ(on_disk(5 * 512 - 1), std::byte{0x5a});
    EXPECT_EQ(on_disk(5 * 512), std::byte{0});
    const GuestPhys target = filled(1536, 0);
    const Answer answer = run(kIn, 4, target, 1536);
    EXPECT_EQ(answer.status, kStatusOk);
    EXPECT_EQ(answer.length, 1537u);
    EXPECT_EQ(memory_->load<uint8_t>(target + 511), 0x5a);
    EXPECT_EQ(memory_->load<uint8_t>(target + 512), 0);
    EXPECT_TRUE(line_.level());
}

TEST_F(VirtioBlockTest, WritesReportOnlyTheStatusByte) {
    begin();
    EXPECT_EQ(run(kOut, 0, filled(512, 1), 512).length, 1u);
}

TEST_F(VirtioBlockTest, FramingDoesNotMatter) {
    begin();  // [virtio-1.2 2.7.4]: no assumptions about how buffers are cut
    const GuestPhys place = filled(0x2000, 0x77);
    ASSERT_TRUE(memory_->store(place, RequestHeader{kOut, 0, 8}));
    // The header in three parts, the last together with the data, which is cut at odd places.
    const std::vector<GuestBuffer> buffers{{place, 5, false},
                                           {place + 5, 4, false},
                                           {place + 9, 7 + 100, false},
                                           {place + 0x1000, 412, false},
                                           {place + 0x1800, 1, true}};
    queue_->add(buffers);
    driver_->announce(0, *queue_);
    EXPECT_EQ(memory_->load<uint8_t>(place + 0x1800), kStatusOk);
    EXPECT_EQ(on_disk(8 * 512), std::byte{0x77});
    EXPECT_EQ(on_disk(9 * 512 - 1), std::byte{0x77});
    EXPECT_EQ(on_disk(9 * 512), std::byte{0});
}

TEST_F(VirtioBlockTest, TheStatusMayShareABufferWithTheData) {
    begin();
    disk_.bytes()[0] = std::byte{0x42};
    const GuestPhys header = driver_->allocator().take(16);
    const GuestPhys data = filled(513, kUntouched);
    ASSERT_TRUE(memory_->store(header, RequestHeader{kIn, 0, 0}));
    const std::vector<GuestBuffer> buffers{{header, 16, false}, {data, 513, true}};
    queue_->add(buffers);
    driver_->announce(0, *queue_);
    EXPECT_EQ(memory_->load<uint8_t>(data), 0x42);
    EXPECT_EQ(memory_->load<uint8_t>(data + 511), 0);
    EXPECT_EQ(memory_->load<uint8_t>(data + 512), kStatusOk);
}

TEST_F(VirtioBlockTest, IndirectRequestsOfManyBuffers) {
    begin();
    std::vector<GuestBuffer> data;
    for (int i = 0; i < 254; ++i)
        data.push_back({filled(512, static_cast<uint8_t>(i)), 512, false});
    EXPECT_EQ(run(kOut, 0, data, true).status, kStatusOk);
    for (uint64_t i = 0; i < 254; ++i) EXPECT_EQ(on_disk(i * 512), static_cast<std::byte>(i));
}

TEST_F(VirtioBlockTest, EmptyTransfersSucceed) {
    begin();
    EXPECT_EQ(run(kIn, 0, {}).status, kStatusOk);
    EXPECT_EQ(run(kOut, kDisk / 512, {}).status, kStatusOk);
    EXPECT_TRUE(disk_.records().empty());
}

TEST_F(VirtioBlockTest, TheLastSectorIsThereAndTheNextIsNot) {
    begin();  // [virtio-1.2 5.2.6.1]: MUST NOT read or write beyond capacity
    const GuestPhys data = filled(1024, 9);
    EXPECT_EQ(run(kOut, kDisk / 512 - 1, data, 512).status, kStatusOk);
    EXPECT_EQ(run(kOut, kDisk / 512 - 1, data, 1024).status, kStatusIoError);
    EXPECT_EQ(run(kIn, kDisk / 512, data, 512).status, kStatusIoError);
    for (const uint64_t sector : {~uint64_t{0}, uint64_t{1} << 55, (uint64_t{1} << 55) - 1}) {
        EXPECT_EQ(run(kIn, sector, data, 512).status, kStatusIoError);
        EXPECT_EQ(run(kOut, sector, data, 512).status, kStatusIoError);
    }
    EXPECT_FALSE(needs_reset());
}

TEST_F(VirtioBlockTest, LengthsThatAreNoWholeSectorsFail) {
    begin();  // [virtio-1.2 5.2.6.1]: MUST be a multiple of 512 bytes
    const GuestPhys data = filled(1024, 9);
    for (const uint32_t size : {1u, 511u, 513u}) {
        EXPECT_EQ(run(kOut, 0, data, size).status, kStatusIoError);
        EXPECT_EQ(run(kIn, 0, data, size).status, kStatusIoError);
    }
    EXPECT_EQ(on_disk(0), std::byte{0});
}

TEST_F(VirtioBlockTest, AFailedReadClaimsNoData) {
    begin();
    disk_.fail_with(BlockStatus::kIoError);
    const Answer answer = run(kIn, 0, filled(512, 0), 512);
    EXPECT_EQ(answer.status, kStatusIoError);
    EXPECT_EQ(answer.length, 0u);  // [virtio-1.2 2.7.8.2]
}

TEST_F(VirtioBlockTest, BackendFailuresBecomeStatuses) {
    begin();
    const std::initializer_list<std::pair<BlockStatus, uint8_t>> cases{
        {BlockStatus::kIoError, kStatusIoError},
        {BlockStatus::kNoSpace, kStatusIoError},
        {BlockStatus::kReadOnly, kStatusIoError},
        {BlockStatus::kUnsupported, kStatusUnsupported}};
    for (const auto& [failure, status] : cases) {
        disk_.fail_with(failure);
        EXPECT_EQ(run(kOut, 0, filled(512, 0), 512).status, status);
        EXPECT_EQ(run(virtio::block::kFlush, 0, {}).status, status);
    }
}

TEST_F(VirtioBlockTest, GetIdGivesTheSerialNumber) {
    begin();
    const GuestPhys data = filled(21, kUntouched);
    const Answer answer = run(kGetId, 0, data, 20);
    EXPECT_EQ(answer.status, kStatusOk);
    EXPECT_EQ(answer.length, 21u);
    std::array<char, 21> id{};
    ASSERT_TRUE(memory_->read(data, std::as_writable_bytes(std::span(id))));
    EXPECT_STREQ(id.data(), "serial-number");
    EXPECT_EQ(id[19], 0);
    EXPECT_EQ(static_cast<uint8_t>(id[20]), kUntouched);
}

TEST_F(VirtioBlockTest, GetIdOfTwentyCharactersHasNoTerminator) {
    VirtioBlockOptions options;
    options.id = "0123456789abcdefghijKLM";
    make(options);
    begin();
    const GuestPhys data = filled(21, kUntouched);
    EXPECT_EQ(run(kGetId, 0, data, 20).status, kStatusOk);
    EXPECT_EQ(memory_->load<uint8_t>(data + 19), 'j');
    EXPECT_EQ(memory_->load<uint8_t>(data + 20), kUntouched);
}

TEST_F(VirtioBlockTest, LifetimeIsUnknown) {
    begin();
    const GuestPhys place = filled(8, kUntouched);
    const GuestBuffer buffer{place, 6, true};
    const Answer answer = run(kGetLifetime, 0, {&buffer, 1});
    EXPECT_EQ(answer.status, kStatusOk);
    EXPECT_EQ(answer.length, 7u);
    EXPECT_EQ(memory_->load<uint32_t>(place), 0u);
    EXPECT_EQ(memory_->load<uint16_t>(place + 6), kUntouched << 8 | kUntouched);
    const GuestBuffer little{place, 5, true};
    EXPECT_EQ(run(kGetLifetime, 0, {&little, 1}).status, kStatusIoError);
}

TEST_F(VirtioBlockTest, UnknownRequestsAreUnsupported) {
    begin();
    for (const uint32_t type : {2u, 3u, 5u, 14u, 15u, ~0u}) {
        EXPECT_EQ(run(type, 0, filled(512, 0), 512).status, kStatusUnsupported) << type;
    }
    EXPECT_TRUE(disk_.records().empty());
}

TEST_F(VirtioBlockTest, FlushReachesTheBackend) {
    begin();
    EXPECT_EQ(run(virtio::block::kFlush, 0, {}).status, kStatusOk);
    ASSERT_EQ(disk_.records().size(), 1u);
    EXPECT_EQ(disk_.records()[0].operation, BlockOperation::kFlush);
}

TEST_F(VirtioBlockTest, WritesAreDurableUnlessTheDriverCanFlush) {
    // [virtio-1.2 5.2.6.2], the three conditions for a write to be stable.
    begin(kFeatureFlush);
    run(kOut, 0, filled(512, 1), 512);
    EXPECT_FALSE(disk_.records().back().durable);
    begin(0);
    run(kOut, 0, filled(512, 1), 512);
    EXPECT_TRUE(disk_.records().back().durable);
    begin(kFeatureFlush | kFeatureConfigWce);
    EXPECT_EQ(driver_->config<uint8_t>(32), 1);
    run(kOut, 0, filled(512, 1), 512);
    EXPECT_FALSE(disk_.records().back().durable);
    mmio_->write(0x100 + 32, 1, 0);
    EXPECT_EQ(driver_->config<uint8_t>(32), 0);
    run(kOut, 0, filled(512, 1), 512);
    EXPECT_TRUE(disk_.records().back().durable);
    mmio_->write(0x100 + 32, 1, 1);
    run(kOut, 0, filled(512, 1), 512);
    EXPECT_FALSE(disk_.records().back().durable);
}

TEST_F(VirtioBlockTest, CacheModeBeginsAsTheSpecificationSays) {
    begin(kFeatureConfigWce);  // without FLUSH: write-through [virtio-1.2 5.2.5.2]
    EXPECT_EQ(driver_->config<uint8_t>(32), 0);
    begin(kFeatureFlush);  // without CONFIG_WCE it cannot be changed
    mmio_->write(0x100 + 32, 1, 0);
    EXPECT_EQ(driver_->config<uint8_t>(32), 1);
    begin(kFeatureFlush | kFeatureConfigWce);
    mmio_->write(0x100 + 32, 1, 0);
    driver_->write(0x70, 0);
    EXPECT_EQ(driver_->config<uint8_t>(32), 1);
}

TEST_F(VirtioBlockTest, OnlyTheCacheModeCanBeWritten) {
    begin();
    for (uint64_t offset = 0; offset < 72; offset += 8) {
        mmio_->write(0x100 + offset, 8, ~uint64_t{0});
    }
    EXPECT_EQ(driver_->config<uint64_t>(0), kDisk / 512);
    EXPECT_EQ(driver_->config<uint8_t>(32), 1);
    EXPECT_EQ(driver_->config<uint8_t>(33), 0);
    EXPECT_EQ(driver_->config<uint16_t>(34), 1);
}

TEST_F(VirtioBlockTest, DiscardGoesSegmentBySegment) {
    begin(kFeatureDiscard);
    EXPECT_EQ(run_segments(kDiscard, {{8, 8, 0}, {32, 1, 0}}).status, kStatusOk);
    ASSERT_EQ(disk_.records().size(), 2u);
    EXPECT_EQ(disk_.records()[1].offset, 32u * 512);
    EXPECT_EQ(disk_.records()[1].size, 512u);
    EXPECT_EQ(on_disk(8 * 512), std::byte{0xdd});
    EXPECT_EQ(on_disk(16 * 512), std::byte{0});
}

TEST_F(VirtioBlockTest, WriteZeroesPassesUnmapOn) {
    begin(kFeatureWriteZeroes | kFeatureFlush);
    disk_.bytes()[512] = std::byte{1};
    EXPECT_EQ(run_segments(kWriteZeroes, {{1, 2, kSegmentUnmap}, {4, 1, 0}}).status, kStatusOk);
    EXPECT_TRUE(disk_.records()[0].may_unmap);
    EXPECT_FALSE(disk_.records()[1].may_unmap);
    EXPECT_FALSE(disk_.records()[1].durable);
    EXPECT_EQ(on_disk(512), std::byte{0});
}

TEST_F(VirtioBlockTest, UnknownSegmentFlagsAreUnsupportedAndNothingIsDone) {
    begin();  // [virtio-1.2 5.2.6.2]
    EXPECT_EQ(run_segments(kDiscard, {{0, 8, kSegmentUnmap}}).status, kStatusUnsupported);
    EXPECT_EQ(run_segments(kDiscard, {{0, 8, 0}, {0, 8, 2}}).status, kStatusUnsupported);
    EXPECT_EQ(run_segments(kWriteZeroes, {{0, 8, 1u << 31}}).status, kStatusUnsupported);
    EXPECT_TRUE(disk_.records().empty());
}

TEST_F(VirtioBlockTest, SegmentsBeyondTheDiskFailAndNothingIsDone) {
    begin();
    for (const uint32_t type : {kDiscard, kWriteZeroes}) {
        EXPECT_EQ(run_segments(type, {{0, 8, 0}, {kDisk / 512, 1, 0}}).status, kStatusIoError);
        EXPECT_EQ(run_segments(type, {{0, ~0u, 0}}).status, kStatusIoError);
        EXPECT_EQ(run_segments(type, {{~uint64_t{0}, 8, 0}}).status, kStatusIoError);
    }
    EXPECT_TRUE(disk_.records().empty());
}

TEST_F(VirtioBlockTest, SegmentListsOfWrongLengthFail) {
    begin();  // [virtio-1.2 5.2.6.1]
    EXPECT_EQ(run(kDiscard, 0, filled(17, 0), 17).status, kStatusIoError);
    EXPECT_EQ(run(kDiscard, 0, {}).status, kStatusIoError);
    const std::vector<RangeSegment> many(VirtioBlock::kMaxSegments + 1, RangeSegment{0, 1, 0});
    EXPECT_EQ(run_segments(kDiscard, many).status, kStatusIoError);
    EXPECT_EQ(run_segments(kDiscard, {many.begin(), many.end() - 1}).status, kStatusOk);
}

TEST_F(VirtioBlockTest, AFailedSegmentEndsTheRequest) {
    begin();
    disk_.fail_with(BlockStatus::kIoError);
    EXPECT_EQ(run_segments(kDiscard, {{0, 1, 0}, {1, 1, 0}}).status, kStatusIoError);
    EXPECT_EQ(disk_.records().size(), 1u);
}

TEST_F(VirtioBlockTest, ARequestWithoutRoomForItsStatusNeedsAReset) {
    begin();
    const GuestPhys header = driver_->allocator().take(16);
    ASSERT_TRUE(memory_->store(header, RequestHeader{kIn, 0, 0}));
    const std::vector<GuestBuffer> buffers{{header, 16, false}};
    queue_->add(buffers);
    driver_->announce(0, *queue_);
    EXPECT_TRUE(needs_reset());
    EXPECT_FALSE(queue_->take_used());
}

TEST_F(VirtioBlockTest, ARequestWithoutAWholeHeaderNeedsAReset) {
    begin();
    const GuestPhys place = driver_->allocator().take(32);
    const std::vector<GuestBuffer> buffers{{place, 15, false}, {place + 16, 1, true}};
    queue_->add(buffers);
    driver_->announce(0, *queue_);
    EXPECT_TRUE(needs_reset());
    EXPECT_EQ(memory_->load<uint8_t>(place + 16), 0);
}

TEST_F(VirtioBlockTest, RequestsMayEndInAnyOrderAndLate) {
    begin();
    disk_.hold(true);
    std::vector<GuestPhys> statuses;
    for (uint32_t i = 0; i < 3; ++i) {
        const GuestBuffer data{filled(512, static_cast<uint8_t>(i + 1)), 512, false};
        statuses.push_back(submit(kOut, i, {&data, 1}));
    }
    driver_->announce(0, *queue_);
    EXPECT_EQ(disk_.held(), 3u);
    EXPECT_FALSE(queue_->take_used());
    EXPECT_FALSE(line_.level());
    EXPECT_TRUE(disk_.release_one());
    EXPECT_EQ(answer(statuses[0]).status, kStatusOk);
    EXPECT_TRUE(line_.level());
    disk_.release_all();
    EXPECT_EQ(answer(statuses[2]).status, kStatusOk);
}

TEST_F(VirtioBlockTest, ResetWaitsForRequestsInFlight) {
    begin();
    disk_.hold(true);
    const GuestBuffer data{filled(512, 1), 512, true};
    const GuestPhys status = submit(kIn, 0, {&data, 1});
    driver_->announce(0, *queue_);
    ASSERT_EQ(disk_.held(), 1u);
    std::atomic<bool> reset_done{false};
    std::thread processor([&] {
        driver_->write(0x70, 0);
        reset_done = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(reset_done);
    EXPECT_NE(driver_->status(), 0u);  // another processor sees that it is not over
    disk_.release_all();
    processor.join();
    EXPECT_EQ(driver_->status(), 0u);
    EXPECT_EQ(memory_->load<uint8_t>(status), kStatusOk);
    EXPECT_FALSE(line_.level());
}

TEST_F(VirtioBlockTest, QueuesWorkInParallel) {
    VirtioBlockOptions options;
    options.queues = 4;
    make(options);
    EXPECT_NE(device_->features() & kFeatureMq, 0u);
    EXPECT_EQ(driver_->config<uint16_t>(34), 4);
    ASSERT_TRUE(driver_->negotiate(kRings | kFeatureMq | virtio::kFeatureEventIdx));
    std::vector<GuestQueue> queues;
    for (uint16_t i = 0; i < 4; ++i) queues.push_back(driver_->make_queue(i));
    driver_->driver_ok();
    constexpr int kRounds = 300;
    std::vector<GuestPhys> places;
    for (int i = 0; i < 4; ++i) places.push_back(driver_->allocator().take(1024));
    std::vector<std::thread> processors;
    for (uint16_t q = 0; q < 4; ++q) {
        processors.emplace_back([&, q] {
            const GuestPhys place = places[q];
            for (int round = 0; round < kRounds; ++round) {
                const uint64_t sector = static_cast<uint64_t>(q) * 100 + round % 100;
                ASSERT_TRUE(memory_->store(place, RequestHeader{kOut, 0, sector}));
                ASSERT_TRUE(memory_->fill(place + 16, std::byte(q + 1), 512));
                ASSERT_TRUE(memory_->store(place + 600, kUntouched));
                const std::array<GuestBuffer, 3> buffers{
                    {{place, 16, false}, {place + 16, 512, false}, {place + 600, 1, true}}};
                queues[q].add(buffers);
                driver_->announce(q, queues[q]);
                while (!queues[q].take_used()) std::this_thread::yield();
                ASSERT_EQ(memory_->load<uint8_t>(place + 600), kStatusOk);
            }
        });
    }
    for (std::thread& processor : processors) processor.join();
    for (uint64_t q = 0; q < 4; ++q) {
        EXPECT_EQ(on_disk(q * 100 * 512), static_cast<std::byte>(q + 1));
    }
}

class ReadOnlyBlockTest : public VirtioBlockTest {
  protected:
    static BlockGeometry geometry() {
        BlockGeometry geometry;
        geometry.size = kDisk;
        geometry.read_only = true;
        geometry.can_discard = true;
        geometry.can_write_zeroes = true;
        return geometry;
    }
    ReadOnlyBlockTest() : VirtioBlockTest(geometry()) {}
};

TEST_F(ReadOnlyBlockTest, RefusesWritesAndOffersNoOtherChange) {
    EXPECT_NE(device_->features() & kFeatureReadOnly, 0u);
    EXPECT_EQ(device_->features() & (kFeatureDiscard | kFeatureWriteZeroes), 0u);
    begin(kFeatureReadOnly);
    // [virtio-1.2 5.2.6.2]: IOERR for a write, and MUST NOT write any data.
    EXPECT_EQ(run(kOut, 0, filled(512, 1), 512).status, kStatusIoError);
    EXPECT_EQ(run_segments(kDiscard, {{0, 8, 0}}).status, kStatusUnsupported);
    EXPECT_EQ(run_segments(kWriteZeroes, {{0, 8, 0}}).status, kStatusUnsupported);
    EXPECT_EQ(run(kIn, 0, filled(512, 1), 512).status, kStatusOk);
    EXPECT_EQ(disk_.records().size(), 1u);
}

class LargeBlockTest : public VirtioBlockTest {
  protected:
    static BlockGeometry geometry() {
        BlockGeometry geometry;
        geometry.size = kDisk;
        geometry.logical_block_size = 4096;
        geometry.physical_block_size = 16384;
        return geometry;
    }
    LargeBlockTest() : VirtioBlockTest(geometry()) {}
};

TEST_F(LargeBlockTest, WorksInItsOwnBlocks) {
    begin();
    EXPECT_EQ(driver_->config<uint64_t>(0), kDisk / 512);  // still in sectors of 512
    EXPECT_EQ(driver_->config<uint32_t>(20), 4096u);
    EXPECT_EQ(driver_->config<uint8_t>(24), 2u);
    EXPECT_EQ(driver_->config<uint16_t>(26), 4u);  // min_io_size
    const GuestPhys data = filled(4096, 3);
    EXPECT_EQ(run(kOut, 8, data, 4096).status, kStatusOk);
    EXPECT_EQ(run(kOut, 1, data, 4096).status, kStatusIoError);
    EXPECT_EQ(run(kOut, 0, data, 512).status, kStatusIoError);
    EXPECT_EQ(run_segments(kDiscard, {{0, 8, 0}}).status, kStatusUnsupported);
}

}  // namespace
}  // namespace mynah
