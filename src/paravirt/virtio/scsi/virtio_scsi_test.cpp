#include "paravirt/virtio/scsi/virtio_scsi.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "paravirt/virtio/virtio_mmio.h"
#include "scsi/cd_drive.h"
#include "scsi/scsi_disk.h"
#include "spec/scsi/commands.h"
#include "spec/virtio/device.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::scsi;
using scsi::kRead10;
using testing::GuestBuffer;
using testing::GuestQueue;
using Bytes = std::vector<uint8_t>;

constexpr uint64_t kRam = 0x400000;
constexpr uint16_t kQueue = kFirstRequestQueue;

class VirtioScsiTest : public ::testing::Test {
  protected:
    VirtioScsiTest() {
        for (size_t i = 0; i < disk_.bytes().size(); ++i)
            disk_.bytes()[i] = static_cast<std::byte>(i / 512);
        EXPECT_TRUE(device_.add_unit({0, 0}, new_disk(disk_)));
        EXPECT_TRUE(device_.add_unit({3, 300}, new_disk(other_)));
    }
    ~VirtioScsiTest() override { disk_.release_all(); }
    static std::unique_ptr<ScsiUnit> new_disk(testing::MemoryDisk& disk) {
        return std::make_unique<ScsiDisk>(
            disk, ScsiDiskOptions{.provisioning = true, .attentions = true, .queued = true});
    }
    void start(uint64_t features = kFeatureHotplug | kFeatureChange, bool attend = false) {
        ASSERT_TRUE(driver_.negotiate(virtio::kFeatureVersion1 | features));
        for (uint16_t i = 0; i < device_.queue_count(); ++i)
            queues_.push_back(driver_.make_queue(i, 32));
        driver_.driver_ok();
        if (attend) return;
        for (const ScsiAddress at : {ScsiAddress{0, 0}, ScsiAddress{3, 300}})
            EXPECT_EQ(run(at, {scsi::kTestUnitReady}).sense[12], 0x29);
    }

    struct Sent {
        uint16_t head = 0;
        GuestPhys response, data;
        uint32_t room = 0;
    };
    struct Answer {
        CommandResponse head{};
        Bytes sense, data;
        uint32_t written = 0;
    };
    static std::array<uint8_t, 8> lun(ScsiAddress at) {
        return {1, at.target, static_cast<uint8_t>(0x40 | at.lun >> 8),
                static_cast<uint8_t>(at.lun)};
    }
    Sent send(ScsiAddress at, const Bytes& cdb, const Bytes& out = {}, uint32_t room = 0,
              uint64_t id = 1) {
        CommandHeader header{};
        std::memcpy(header.lun, lun(at).data(), 8);
        std::memcpy(header.id, &id, 8);
        Bytes readable(sizeof header + cdb_size_);
        std::memcpy(readable.data(), &header, sizeof header);
        std::copy_n(cdb.begin(), std::min<size_t>(cdb.size(), cdb_size_),
                    readable.begin() + sizeof header);
        readable.insert(readable.end(), out.begin(), out.end());
        const auto size = static_cast<uint32_t>(readable.size());
        const GuestPhys place = driver_.allocator().take(size);
        EXPECT_TRUE(memory_->write(place, std::as_bytes(std::span(readable))));
        Sent sent{0, driver_.allocator().take(12 + sense_size_), {}, room};
        // Header in two pieces, response and data in one where there is data.
        std::vector<GuestBuffer> buffers{{place, 7, false}, {place + 7, size - 7, false}};
        buffers.push_back({sent.response, 12 + sense_size_, true});
        if (room != 0) {
            sent.data = driver_.allocator().take(room);
            buffers.push_back({sent.data, room, true});
        }
        sent.head = queues_[kQueue].add(buffers, false);
        driver_.announce(kQueue, queues_[kQueue]);
        return sent;
    }
    Answer receive(const Sent& sent) {
        Answer answer;
        const auto used = queues_[kQueue].take_used();
        EXPECT_TRUE(used && used->id == sent.head);
        if (!used) return answer;
        answer.written = used->length;
        answer.head = memory_->load<CommandResponse>(sent.response).value();
        answer.sense.resize(std::max<uint32_t>(sense_size_, 18));
        EXPECT_TRUE(
            memory_->read(sent.response + 12,
                          std::as_writable_bytes(std::span(answer.sense)).first(sense_size_)));
        answer.data.resize(sent.room);
        if (sent.room != 0) {
            EXPECT_TRUE(memory_->read(sent.data, std::as_writable_bytes(std::span(answer.data))));
        }
        return answer;
    }
    Answer run(ScsiAddress at, const Bytes& cdb, const Bytes& out = {}, uint32_t room = 0) {
        return receive(send(at, cdb, out, room));
    }
    static Bytes read10(uint8_t block, uint8_t count) {
        return {kRead10, 0, 0, 0, 0, block, 0, 0, count, 0};
    }

    GuestPhys manage(TaskFunction function, ScsiAddress at, uint64_t id = 1) {
        TaskRequest request{kTaskManagement, static_cast<uint32_t>(function), {}, {}};
        std::memcpy(request.lun, lun(at).data(), 8);
        std::memcpy(request.id, &id, 8);
        const GuestPhys place = driver_.allocator().take(sizeof request + 1);
        EXPECT_TRUE(memory_->store(place, request));
        const GuestPhys response = place + sizeof request;
        EXPECT_TRUE(memory_->store(response, uint8_t{0xee}));
        const GuestBuffer buffers[] = {{place, sizeof request, false}, {response, 1, true}};
        queues_[kControlQueue].add(buffers);
        driver_.announce(kControlQueue, queues_[kControlQueue]);
        return response;
    }
    uint8_t task_response(GuestPhys at) { return memory_->load<uint8_t>(at).value(); }
    GuestPhys offer_event() {
        const GuestPhys place = driver_.allocator().take(sizeof(Event));
        const GuestBuffer buffer{place, sizeof(Event), true};
        queues_[kEventQueue].add({&buffer, 1});
        driver_.announce(kEventQueue, queues_[kEventQueue]);
        return place;
    }
    Event event(GuestPhys at) { return memory_->load<Event>(at).value(); }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::MemoryDisk disk_{[] {
        BlockGeometry geometry;
        geometry.size = 1 << 16;
        geometry.can_discard = geometry.can_write_zeroes = true;
        geometry.max_discard_size = geometry.max_write_zeroes_size = 1 << 16;
        return geometry;
    }()};
    testing::MemoryDisk other_{1 << 16};
    VirtioScsi device_{{.queues = 2}};
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::vector<GuestQueue> queues_;
    uint32_t sense_size_ = kDefaultSenseSize, cdb_size_ = kDefaultCdbSize;
};

TEST_F(VirtioScsiTest, SaysWhatItIs) {
    EXPECT_EQ(driver_.read(0x008), virtio::kDeviceScsi);
    EXPECT_EQ(driver_.config<uint32_t>(0), 2u);
    EXPECT_EQ(driver_.config<uint16_t>(30), kMaxTarget);
    EXPECT_EQ(driver_.config<uint32_t>(32), kMaxLun);
    EXPECT_EQ(device_.queue_count(), 4);
}

TEST_F(VirtioScsiTest, DataBothWaysAndResiduals) {
    start();
    Answer answer = run({0, 0}, read10(5, 2), {}, 2048);
    EXPECT_EQ(answer.head.response, kResponseOk);
    EXPECT_EQ(answer.head.status, scsi::kStatusGood);
    EXPECT_EQ(answer.head.residual, 1024u);
    EXPECT_EQ(answer.written, 12 + 96 + 1024u);
    EXPECT_EQ(answer.data[0], 5);
    EXPECT_EQ(answer.data[1023], 6);
    EXPECT_EQ(answer.data[1024], 0);
    answer = run({3, 300}, {scsi::kWrite10, 0, 0, 0, 0, 9, 0, 0, 1, 0}, Bytes(700, 0x77));
    EXPECT_EQ(answer.head.status, scsi::kStatusGood);
    EXPECT_EQ(answer.head.residual, 188u);
    EXPECT_EQ(answer.written, 12 + 96u);
    EXPECT_EQ(other_.bytes()[9 * 512 + 511], std::byte{0x77});
    EXPECT_EQ(other_.bytes()[10 * 512], std::byte{0});
    answer = run({0, 0}, {scsi::kInquiry, 0, 0, 0, 255, 0}, {}, 255);
    EXPECT_EQ(answer.head.residual, 255u - 36);
    // Less room than the command needs; data both ways.
    EXPECT_EQ(run({0, 0}, read10(5, 2), {}, 1023).head.response, kResponseOverrun);
    EXPECT_EQ(run({0, 0}, {scsi::kWrite10, 0, 0, 0, 0, 9, 0, 0, 1, 0}, Bytes(100)).head.response,
              kResponseOverrun);
    EXPECT_EQ(run({0, 0}, read10(5, 2), Bytes(10), 1024).head.response, kResponseFailure);
}

TEST_F(VirtioScsiTest, ParametersAndWorkWithoutData) {
    start();
    Bytes list(24);
    list[1] = 22;
    list[3] = 16;
    list[15] = 8;  // block
    list[19] = 16;
    const Bytes cdb{scsi::kUnmap, 0, 0, 0, 0, 0, 0, 0, 24, 0};
    EXPECT_EQ(run({0, 0}, cdb, list).head.status, scsi::kStatusGood);
    EXPECT_EQ(disk_.records().back().operation, BlockOperation::kDiscard);
    EXPECT_EQ(disk_.records().back().offset, 8u * 512);
    // A pattern from one block.
    EXPECT_EQ(
        run({0, 0}, {scsi::kWriteSame10, 0, 0, 0, 0, 20, 0, 0, 5, 0}, Bytes(512, 0x31)).head.status,
        scsi::kStatusGood);
    EXPECT_EQ(disk_.bytes()[24 * 512 + 511], std::byte{0x31});
    EXPECT_EQ(disk_.bytes()[25 * 512], std::byte{25});
}

TEST_F(VirtioScsiTest, SenseComesWithTheStatus) {
    start();
    Answer answer = run({0, 0}, read10(200, 1), {}, 512);
    EXPECT_EQ(answer.head.status, scsi::kStatusCheckCondition);
    EXPECT_EQ(answer.head.sense_length, 18u);
    EXPECT_EQ(answer.sense[2], scsi::kIllegalRequest);
    EXPECT_EQ(answer.sense[12], 0x21);
    EXPECT_EQ(answer.head.residual, 512u);
    // It was told: nothing is kept.
    answer = run({0, 0}, {scsi::kRequestSense, 0, 0, 0, 18, 0}, {}, 18);
    EXPECT_EQ(answer.data[2], 0);
    disk_.fail_with(BlockStatus::kIoError);
    EXPECT_EQ(run({0, 0}, read10(2, 1), {}, 512).sense[12], 0x11);
}

TEST_F(VirtioScsiTest, SizesAreTheDriversChoice) {
    start();
    mmio_.write(0x100 + 20, 4, 10);
    mmio_.write(0x100 + 24, 4, 12);
    sense_size_ = 10;
    cdb_size_ = 12;
    const Answer answer = run({0, 0}, read10(200, 1), {}, 512);
    EXPECT_EQ(answer.head.sense_length, 10u);
    EXPECT_EQ(answer.sense[2], scsi::kIllegalRequest);
    EXPECT_EQ(run({0, 0}, read10(7, 1), {}, 512).data[3], 7);
    mmio_.write(0x100 + 20, 4, 0x10000);
    EXPECT_EQ(driver_.config<uint32_t>(20), 10u);
    driver_.write(0x70, 0);
    EXPECT_EQ(driver_.config<uint32_t>(20), kDefaultSenseSize);
}

TEST_F(VirtioScsiTest, AddressesOfNobody) {
    start();
    EXPECT_EQ(run({1, 0}, read10(0, 1), {}, 512).head.response, kResponseBadTarget);
    Answer answer = run({0, 1}, read10(0, 1), {}, 512);
    EXPECT_EQ(answer.head.status, scsi::kStatusCheckCondition);
    EXPECT_EQ(answer.sense[12], 0x25);
    answer = run({3, 0}, {scsi::kInquiry, 0, 0, 0, 36, 0}, {}, 36);
    EXPECT_EQ(answer.data[0], 0x3f);
    answer = run({3, 0}, {scsi::kReportLuns, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}, {}, 64);
    EXPECT_EQ(answer.data[3], 8);
    EXPECT_EQ(answer.data[8], 0x41);
    EXPECT_EQ(answer.data[9], 0x2c);
}

TEST_F(VirtioScsiTest, ShortRequestsNeedAReset) {
    start();
    const GuestPhys place = driver_.allocator().take(256);
    const GuestBuffer buffers[] = {{place, 20, false}, {place + 64, 108, true}};
    queues_[kQueue].add(buffers);
    driver_.announce(kQueue, queues_[kQueue]);
    EXPECT_NE(driver_.status() & virtio::kStatusNeedsReset, 0u);
}

TEST_F(VirtioScsiTest, AbortsAreAnsweredWhenTheCommandIsBack) {
    start();
    disk_.hold(true);
    const Sent first = send({0, 0}, read10(1, 1), {}, 512, 11);
    const Sent second = send({0, 0}, read10(2, 1), {}, 512, 12);
    EXPECT_EQ(task_response(manage(TaskFunction::kQueryTask, {0, 0}, 11)),
              kResponseFunctionSucceeded);
    EXPECT_EQ(task_response(manage(TaskFunction::kQueryTask, {0, 0}, 13)),
              kResponseFunctionComplete);
    const GuestPhys abort = manage(TaskFunction::kAbortTask, {0, 0}, 11);
    EXPECT_EQ(task_response(abort), 0xee);
    ASSERT_TRUE(disk_.release_one());
    EXPECT_EQ(task_response(abort), kResponseFunctionComplete);
    EXPECT_EQ(receive(first).head.response, kResponseAborted);
    ASSERT_TRUE(disk_.release_one());
    EXPECT_EQ(receive(second).head.response, kResponseOk);
    // One that ended already.
    EXPECT_EQ(task_response(manage(TaskFunction::kAbortTask, {0, 0}, 11)),
              kResponseFunctionComplete);
}

TEST_F(VirtioScsiTest, ResetOfAUnit) {
    start();
    disk_.hold(true);
    const Sent first = send({0, 0}, read10(1, 1), {}, 512, 11);
    const Sent second = send({0, 0}, read10(2, 1), {}, 512, 12);
    const GuestPhys reset = manage(TaskFunction::kLogicalUnitReset, {0, 0});
    ASSERT_TRUE(disk_.release_one());
    EXPECT_EQ(task_response(reset), 0xee);
    ASSERT_TRUE(disk_.release_one());
    EXPECT_EQ(task_response(reset), kResponseFunctionComplete);
    EXPECT_EQ(receive(first).head.response, kResponseReset);
    EXPECT_EQ(receive(second).head.response, kResponseReset);
    disk_.hold(false);
    EXPECT_EQ(run({0, 0}, read10(1, 1), {}, 512).sense[12], 0x29);
    EXPECT_EQ(run({0, 0}, read10(1, 1), {}, 512).head.status, scsi::kStatusGood);
    // The other target was not touched; a reset of the nexus is one of all units of a target.
    EXPECT_EQ(run({3, 300}, {scsi::kTestUnitReady}).head.status, scsi::kStatusGood);
    EXPECT_EQ(task_response(manage(TaskFunction::kNexusReset, {3, 0})), kResponseFunctionComplete);
    EXPECT_EQ(run({3, 300}, {scsi::kTestUnitReady}).sense[12], 0x29);
    EXPECT_EQ(task_response(manage(TaskFunction::kLogicalUnitReset, {3, 1})),
              kResponseIncorrectLun);
    EXPECT_EQ(task_response(manage(TaskFunction::kLogicalUnitReset, {9, 0})), kResponseBadTarget);
    EXPECT_EQ(task_response(manage(TaskFunction::kClearAca, {0, 0})), kResponseFunctionRejected);
    EXPECT_EQ(task_response(manage(static_cast<TaskFunction>(77), {0, 0})),
              kResponseFunctionRejected);
}

TEST_F(VirtioScsiTest, UnitsComeAndGo) {
    start();
    testing::MemoryDisk late(1 << 16);
    const GuestPhys come = offer_event();
    EXPECT_TRUE(device_.add_unit({7, 260}, new_disk(late)));
    EXPECT_EQ(event(come).event, kTransportReset);
    EXPECT_EQ(event(come).reason, kReasonRescan);
    EXPECT_EQ(event(come).lun[1], 7);
    EXPECT_EQ(event(come).lun[2], 0x41);
    EXPECT_EQ(event(come).lun[3], 4);
    EXPECT_FALSE(device_.add_unit({7, 260}, new_disk(late)));
    EXPECT_EQ(run({7, 260}, {scsi::kTestUnitReady}).sense[12], 0x29);
    // It goes when its cache was flushed, with what is on its way.
    const GuestPhys go = offer_event();
    late.hold(true);
    const Sent last = send({7, 260}, read10(1, 1), {}, 512);
    std::atomic<bool> gone{false};
    std::thread operator_([&] {
        EXPECT_TRUE(device_.remove_unit({7, 260}, std::chrono::hours(1)));
        gone = true;
    });
    while (event(go).reason != kReasonRemoved) std::this_thread::yield();
    late.hold(false);
    late.release_all();
    EXPECT_EQ(receive(last).head.status, scsi::kStatusGood);
    EXPECT_FALSE(gone);
    // The farewell may begin only a moment after the event is there.
    while (!gone) {
        const Answer flush = run({7, 260}, {scsi::kSynchronizeCache10});
        if (flush.head.response == kResponseBadTarget) break;
        EXPECT_EQ(flush.head.status, scsi::kStatusGood);
        std::this_thread::yield();
    }
    operator_.join();
    EXPECT_EQ(run({7, 260}, read10(1, 1), {}, 512).head.response, kResponseBadTarget);
    EXPECT_FALSE(device_.remove_unit({7, 260}, {}));
}

TEST_F(VirtioScsiTest, MissedEventsAreAdmitted) {
    start();
    offer_event();
    testing::MemoryDisk late(1 << 16);
    EXPECT_TRUE(device_.add_unit({7, 0}, new_disk(late)));
    EXPECT_TRUE(device_.add_unit({7, 1}, new_disk(late)));  // nowhere to put it
    const GuestPhys place = offer_event();
    EXPECT_EQ(event(place).event, kEventsMissed | kNoEvent);
    const GuestPhys next = offer_event();
    device_.parameters_changed({7, 1}, scsi::kSenseMediumChanged);
    EXPECT_EQ(event(next).event, kParameterChange);
    EXPECT_EQ(event(next).reason, 0x28u);
}

TEST_F(VirtioScsiTest, OldDriversLearnFromOtherUnits) {
    start(0);
    testing::MemoryDisk late(1 << 16);
    EXPECT_TRUE(device_.add_unit({3, 1}, new_disk(late)));
    EXPECT_EQ(run({3, 300}, {scsi::kTestUnitReady}).sense[12], 0x3f);
    EXPECT_EQ(run({0, 0}, {scsi::kTestUnitReady}).head.status, scsi::kStatusGood);
}

TEST_F(VirtioScsiTest, MediumIsFreeAfterAnEject) {
    testing::MemoryDisk disc(1 << 20);
    auto drive = std::make_unique<CdDrive>(CdDriveOptions{});
    CdDrive& cd = *drive;
    drive->insert(disc);
    EXPECT_TRUE(device_.add_unit({4, 0}, std::move(drive)));
    start();
    EXPECT_EQ(run({4, 0}, {scsi::kTestUnitReady}).sense[12], 0x29);
    disc.hold(true);
    const Sent read = send({4, 0}, read10(1, 1), {}, 2048);
    device_.with_unit({4, 0}, [&](ScsiUnit&) { EXPECT_TRUE(cd.eject(true)); });
    std::atomic<bool> waiting{true};
    std::thread operator_([&] {
        device_.wait_for_work({4, 0});
        waiting = false;
    });
    EXPECT_EQ(run({3, 300}, {scsi::kTestUnitReady}).head.status, scsi::kStatusGood);
    EXPECT_TRUE(waiting);
    disc.hold(false);
    disc.release_all();
    operator_.join();
    EXPECT_EQ(receive(read).head.status, scsi::kStatusGood);
    EXPECT_EQ(run({4, 0}, read10(1, 1), {}, 2048).sense[12], 0x3a);
}

TEST_F(VirtioScsiTest, ResetWaitsForTheDisk) {
    start();
    disk_.hold(true);
    send({0, 0}, read10(1, 1), {}, 512);
    std::thread backend([&] {
        std::this_thread::yield();
        disk_.hold(false);
        disk_.release_all();
    });
    driver_.write(0x70, 0);
    backend.join();
    queues_.clear();
    start();
    EXPECT_EQ(run({0, 0}, read10(1, 1), {}, 512).data[0], 1);
}

}  // namespace
}  // namespace mynah
