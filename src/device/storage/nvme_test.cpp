#include <gtest/gtest.h>

#include <cstring>

#include "device/storage/nvme_controller.h"
#include "device/storage/nvme_driver_test.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

using namespace nvme;
using testing::NvmeDriver;

constexpr uint64_t kData = NvmeDriver::kData;
constexpr uint64_t kBlocks = 0x4000;

class NvmeTest : public ::testing::Test {
  protected:
    NvmeTest() {
        for (size_t i = 0; i < medium.bytes().size(); ++i) {
            medium.bytes()[i] = static_cast<std::byte>(i / 512 * 5 + i);
        }
        controller = std::make_unique<NvmeController>(board.attachment(), medium,
                                                      NvmeOptions{4, "SN1", "MODEL", "FW", 0});
        board.set_up(controller->function());
    }
    void start(unsigned queues = 1) {
        driver.enable();
        ASSERT_TRUE(driver.ready());
        for (unsigned queue = 1; queue <= queues; ++queue) {
            ASSERT_EQ(driver.create_queues(queue, static_cast<uint16_t>(queue)), 0);
        }
    }
    Submission admin(uint8_t opcode, uint32_t cdw10 = 0, uint32_t cdw11 = 0, uint32_t nsid = 0) {
        Submission command{};
        command.opcode = opcode;
        command.nsid = nsid;
        command.prp1 = kData;
        command.cdw10 = cdw10;
        command.cdw11 = cdw11;
        return command;
    }
    Submission read(uint64_t lba, uint32_t blocks, uint64_t prp1 = kData, uint64_t prp2 = 0) {
        return NvmeDriver::transfer(io::kRead, lba, blocks, prp1, prp2);
    }
    bool same(uint64_t guest, uint64_t offset, size_t size) {
        const auto bytes = driver.bytes(guest, size);
        return std::memcmp(bytes.data(), medium.bytes().data() + offset, size) == 0;
    }

    testing::PciSlotBoard board{0x1000000};
    testing::MemoryDisk medium{kBlocks * 512};
    std::unique_ptr<NvmeController> controller;
    NvmeDriver driver{board};
};

TEST_F(NvmeTest, RegistersAfterPowerOn) {
    EXPECT_EQ(controller->function().config_read(8, 4) >> 8, 0x010802u);
    const uint64_t cap = driver.get(kCap, 8);
    EXPECT_EQ(cap & 0xffff, 1023u);
    EXPECT_NE(cap & cap::kContiguousQueues, 0u);
    EXPECT_NE(cap & cap::kNvmCommandSet, 0u);
    EXPECT_EQ(driver.get(kCap + 4), cap >> 32);
    EXPECT_EQ(driver.get(kVs), kVersion14);
    EXPECT_EQ(driver.get(kCsts), 0u);
    driver.set(kIntms, 5);
    driver.set(kIntmc, 1);
    EXPECT_EQ(driver.get(kIntms), 4u);
    EXPECT_EQ(driver.get(kIntmc), 4u);
    driver.set(kAsq, 0x123456789fff, 8);
    EXPECT_EQ(driver.get(kAsq, 8), 0x123456789000u);
    driver.set(kAqa, 0xffffffff);
    EXPECT_EQ(driver.get(kAqa), aqa::kWritable);
}

TEST_F(NvmeTest, BadConfigurationIsFatal) {
    driver.enable();
    driver.disable();
    driver.set(kAqa, 0);
    driver.set(kCc, cc::kEnable);
    EXPECT_EQ(driver.get(kCsts), csts::kFatal);
    driver.disable();
    EXPECT_EQ(driver.get(kCsts), 0u);
    driver.set(kAqa, 0xf000f);
    driver.set(kCc, cc::kEnable | 1 << 7);  // pages of 8 KiB
    EXPECT_EQ(driver.get(kCsts), csts::kFatal);
}

TEST_F(NvmeTest, QueuesThatAreNotMemoryAreFatal) {
    driver.set(kAqa, 0xf000f);
    driver.set(kAsq, uint64_t{1} << 40, 8);
    driver.set(kCc, cc::kEnable | 6u << 16 | 4u << 20);
    driver.set(kDoorbells, 1);
    EXPECT_NE(driver.get(kCsts) & csts::kFatal, 0u);
}

TEST_F(NvmeTest, IdentifyController) {
    start();
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, identify::kController)), 0);
    const auto page = driver.bytes(kData, 4096);
    EXPECT_EQ(std::memcmp(&page[4], "SN1                 ", 20), 0);
    EXPECT_EQ(std::memcmp(&page[24], "MODEL ", 6), 0);
    EXPECT_EQ(page[77], Nvme::kMdts);
    EXPECT_EQ(load_unaligned<uint32_t>(&page[80]), kVersion14);
    EXPECT_EQ(page[512], 0x66);
    EXPECT_EQ(page[516], 1);
    EXPECT_EQ(std::memcmp(&page[768], "nqn.", 4), 0);
}

TEST_F(NvmeTest, IdentifyNamespaces) {
    start();
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, identify::kNamespace, 0, 1)), 0);
    auto page = driver.bytes(kData, 4096);
    EXPECT_EQ(load_unaligned<uint64_t>(&page[0]), kBlocks);
    EXPECT_EQ(page[130], 9);
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, identify::kActiveNamespaces, 0, 0)), 0);
    EXPECT_EQ(driver.bytes(kData, 8), (std::vector<uint8_t>{1, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, identify::kActiveNamespaces, 0, 1)), 0);
    EXPECT_EQ(driver.bytes(kData, 1)[0], 0);
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, identify::kNamespaceDescriptors, 0, 1)), 0);
    EXPECT_EQ(driver.bytes(kData, 2), (std::vector<uint8_t>{3, 16}));
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, identify::kNamespace, 0, 2)),
              status::kInvalidNamespace);
    EXPECT_EQ(driver.run(0, admin(admin::kIdentify, 0x55)), status::kInvalidField);
}

TEST_F(NvmeTest, ReadsOfEveryPrpForm) {
    start();
    // One page, at an offset; the rest in a second page; a list.
    EXPECT_EQ(driver.run(1, read(3, 1, kData + 0x204)), 0);
    EXPECT_TRUE(same(kData + 0x204, 3 * 512, 512));
    EXPECT_EQ(driver.run(1, read(8, 8, kData + 0xe00, kData + 0x5000)), 0);
    EXPECT_TRUE(same(kData + 0xe00, 8 * 512, 512));
    EXPECT_TRUE(same(kData + 0x5000, 9 * 512, 7 * 512));
    const uint64_t list = kData + 0x800000;
    for (unsigned i = 0; i < 7; ++i) {
        ASSERT_TRUE(board.memory->store(GuestPhys(list + i * 8), kData + 0x20000 - i * 0x1000));
    }
    EXPECT_EQ(driver.run(1, read(100, 64, kData, list)), 0);
    EXPECT_TRUE(same(kData, 100 * 512, 4096));
    for (unsigned i = 0; i < 7; ++i) {
        EXPECT_TRUE(same(kData + 0x20000 - i * 0x1000, 100 * 512 + (i + 1) * 4096, 4096));
    }
}

TEST_F(NvmeTest, ListsGoOnInAnotherPage) {
    start();
    // Three entries in the first page of the list, the third of which leads on.
    const uint64_t first = kData + 0x800000 + 4096 - 24, second = kData + 0x900000;
    ASSERT_TRUE(board.memory->store(GuestPhys(first), kData + 0x1000));
    ASSERT_TRUE(board.memory->store(GuestPhys(first + 8), kData + 0x2000));
    ASSERT_TRUE(board.memory->store(GuestPhys(first + 16), second));
    for (unsigned i = 0; i < 253; ++i) {
        ASSERT_TRUE(board.memory->store(GuestPhys(second + i * 8), kData + 0x3000 + i * 0x1000));
    }
    EXPECT_EQ(driver.run(1, read(0, 2048, kData, first)), 0);  // as much as MDTS allows
    EXPECT_TRUE(same(kData, 0, 2048 * 512));
    EXPECT_EQ(driver.run(1, read(0, 2049, kData, first)), status::kInvalidField);
    // Exactly full: the last entry is data, not a link.
    ASSERT_TRUE(board.memory->store(GuestPhys(first + 16), kData + 0x3000));
    EXPECT_EQ(driver.run(1, read(7, 32, kData, first)), 0);
    EXPECT_TRUE(same(kData, 7 * 512, 4 * 4096));
}

TEST_F(NvmeTest, BadPrps) {
    start();
    EXPECT_EQ(driver.run(1, read(0, 1, kData + 2)), status::kInvalidPrpOffset);
    EXPECT_EQ(driver.run(1, read(0, 16, kData, kData + 0x800)), status::kInvalidPrpOffset);
    EXPECT_EQ(driver.run(1, read(0, 1, uint64_t{1} << 50)), status::kDataTransferError);
    EXPECT_EQ(driver.run(1, read(0, 64, kData, uint64_t{1} << 50)), status::kDataTransferError);
    ASSERT_TRUE(board.memory->store(GuestPhys(kData + 0x8000), kData + 8));
    EXPECT_EQ(driver.run(1, read(0, 64, kData, kData + 0x8000)), status::kInvalidPrpOffset);
    EXPECT_TRUE(medium.records().empty());
    Submission sgl = read(0, 1);
    sgl.flags = 0x40;
    EXPECT_EQ(driver.run(1, sgl), status::kInvalidField);
}

TEST_F(NvmeTest, WritesAndTheirDurability) {
    start();
    ASSERT_TRUE(board.memory->fill(GuestPhys(kData), std::byte{0x42}, 1024));
    EXPECT_EQ(driver.run(1, NvmeDriver::transfer(io::kWrite, 9, 2, kData)), 0);
    EXPECT_EQ(medium.bytes()[9 * 512], std::byte{0x42});
    EXPECT_EQ(medium.bytes()[11 * 512 - 1], std::byte{0x42});
    EXPECT_FALSE(medium.records().back().durable);
    Submission forced = NvmeDriver::transfer(io::kWrite, 9, 2, kData);
    forced.cdw12 |= io::kForceUnitAccess;
    EXPECT_EQ(driver.run(1, forced), 0);
    EXPECT_TRUE(medium.records().back().durable);
    EXPECT_EQ(driver.run(0, admin(admin::kSetFeatures, feature::kWriteCache, 0)), 0);
    EXPECT_EQ(driver.run(1, NvmeDriver::transfer(io::kWrite, 9, 2, kData)), 0);
    EXPECT_TRUE(medium.records().back().durable);
    EXPECT_EQ(driver.run(1, NvmeDriver::transfer(io::kFlush, 0, 1, 0)), 0);
    EXPECT_EQ(medium.records().back().operation, BlockOperation::kFlush);
}

TEST_F(NvmeTest, ZeroesAndDeallocation) {
    start();
    Submission zero = NvmeDriver::transfer(io::kWriteZeroes, 20, 4, 0);
    EXPECT_EQ(driver.run(1, zero), 0);
    EXPECT_EQ(medium.records().back().operation, BlockOperation::kWriteZeroes);
    EXPECT_FALSE(medium.records().back().may_unmap);
    zero.cdw12 |= io::kDeallocate;
    EXPECT_EQ(driver.run(1, zero), 0);
    EXPECT_TRUE(medium.records().back().may_unmap);
    EXPECT_EQ(medium.bytes()[20 * 512], std::byte{0});

    const DatasetRange ranges[] = {{0, 8, 64}, {0, 0, 1}, {0, 2, 128}};
    ASSERT_TRUE(board.memory->write(GuestPhys(kData), std::as_bytes(std::span(ranges))));
    Submission command = NvmeDriver::transfer(io::kDatasetManagement, 0, 1, kData);
    command.cdw10 = 2;
    command.cdw11 = io::kAttributeDeallocate;
    const size_t before = medium.records().size();
    EXPECT_EQ(driver.run(1, command), 0);
    ASSERT_EQ(medium.records().size(), before + 2);
    EXPECT_EQ(medium.records()[before].offset, 64u * 512);
    EXPECT_EQ(medium.records()[before].size, 8u * 512);
    command.cdw11 = 1;  // a hint
    EXPECT_EQ(driver.run(1, command), 0);
    EXPECT_EQ(medium.records().size(), before + 2);
    ASSERT_TRUE(board.memory->store(GuestPhys(kData), DatasetRange{0, 2, kBlocks - 1}));
    command.cdw11 = io::kAttributeDeallocate;
    EXPECT_EQ(driver.run(1, command), status::kLbaOutOfRange);
}

TEST_F(NvmeTest, RefusedIo) {
    start();
    EXPECT_EQ(driver.run(1, read(kBlocks, 1)), status::kLbaOutOfRange);
    EXPECT_EQ(driver.run(1, read(~uint64_t{0}, 2)), status::kLbaOutOfRange);
    Submission command = read(0, 1);
    command.nsid = 2;
    EXPECT_EQ(driver.run(1, command), status::kInvalidNamespace);
    command.opcode = 0x7f;
    EXPECT_EQ(driver.run(1, command), status::kInvalidOpcode);
    medium.fail_with(BlockStatus::kIoError);
    EXPECT_EQ(driver.run(1, read(0, 1)), status::kUnrecoveredRead);
    EXPECT_EQ(driver.run(1, NvmeDriver::transfer(io::kWrite, 0, 1, kData)), status::kWriteFault);
}

TEST_F(NvmeTest, QueuesAreCheckedWhenMade) {
    start(0);
    Submission command = admin(admin::kCreateCq, 1 | 15 << 16, 1);
    command.prp1 = NvmeDriver::cq_base(1);
    const auto refused = [&](uint32_t cdw10, uint32_t cdw11) {
        command.cdw10 = cdw10;
        command.cdw11 = cdw11;
        return driver.run(0, command);
    };
    EXPECT_EQ(refused(0 | 15 << 16, 1), status::kInvalidQueueId);
    EXPECT_EQ(refused(5 | 15 << 16, 1), status::kInvalidQueueId);
    EXPECT_EQ(refused(1, 1), status::kInvalidQueueSize);
    EXPECT_EQ(refused(1 | 1024u << 16, 1), status::kInvalidQueueSize);
    EXPECT_EQ(refused(1 | 15 << 16, 0), status::kInvalidField);
    EXPECT_EQ(refused(1 | 15 << 16, 1 | 5 << 16), status::kInvalidVector);
    EXPECT_EQ(refused(1 | 15 << 16, 1), 0);
    EXPECT_EQ(refused(1 | 15 << 16, 1), status::kInvalidQueueId);  // there already
    command.opcode = admin::kCreateSq;
    EXPECT_EQ(refused(1 | 15 << 16, 1 | 2 << 16), status::kCqInvalid);
    EXPECT_EQ(refused(1 | 15 << 16, 1 | 0 << 16), status::kCqInvalid);
    EXPECT_EQ(refused(1 | 15 << 16, 1 | 1 << 16), 0);
    EXPECT_EQ(driver.run(0, admin(admin::kDeleteCq, 1)), status::kInvalidQueueDeletion);
    EXPECT_EQ(driver.run(0, admin(admin::kDeleteSq, 1)), 0);
    EXPECT_EQ(driver.run(0, admin(admin::kDeleteSq, 1)), status::kInvalidQueueId);
    EXPECT_EQ(driver.run(0, admin(admin::kDeleteCq, 1)), 0);
}

TEST_F(NvmeTest, ManyInFlightAndTheCompletionQueueNeverOverflows) {
    start();
    medium.hold(true);
    for (unsigned i = 0; i < NvmeDriver::kDepth - 1; ++i) {
        driver.add(1, read(i, 1, kData + i * 0x1000));
    }
    driver.ring(1);
    EXPECT_EQ(medium.held(), NvmeDriver::kDepth - 1);
    medium.release_all();
    // All completions are there and untaken: further commands wait.
    for (unsigned i = 0; i < 4; ++i) driver.add(1, read(i, 1, kData));
    driver.ring(1);
    EXPECT_EQ(medium.held(), 0u);
    EXPECT_TRUE(driver.take(1).has_value());
    EXPECT_TRUE(driver.take(1).has_value());
    EXPECT_EQ(medium.held(), 2u);
    medium.hold(false);
    medium.release_all();
    unsigned taken = 2;
    while (driver.take(1)) ++taken;
    EXPECT_EQ(taken, NvmeDriver::kDepth - 1 + 4);
    for (unsigned i = 4; i < NvmeDriver::kDepth - 1; ++i) {
        EXPECT_TRUE(same(kData + i * 0x1000, i * 512, 512));
    }
}

TEST_F(NvmeTest, ADeletedQueueFinishesWhatIsInFlight) {
    start();
    medium.hold(true);
    driver.add(1, read(0, 1));
    driver.ring(1);
    const uint16_t cid = driver.add(0, admin(admin::kDeleteSq, 1));
    driver.ring(0);
    EXPECT_FALSE(driver.take(0).has_value());
    medium.release_all();
    EXPECT_TRUE(driver.take(1).has_value());
    const auto done = driver.take(0);
    ASSERT_TRUE(done.has_value());
    EXPECT_EQ(done->cid, cid);
    EXPECT_EQ(done->status >> 1, 0);
}

TEST_F(NvmeTest, DisablingWaitsForWhatIsAway) {
    start();
    medium.hold(true);
    driver.add(1, read(0, 1));
    driver.ring(1);
    driver.disable();
    EXPECT_TRUE(driver.ready());
    driver.set(kCc, cc::kEnable | 6u << 16 | 4u << 20);  // too early, and honoured later
    medium.hold(false);
    medium.release_all();
    EXPECT_TRUE(driver.ready());
    driver.disable();
    EXPECT_FALSE(driver.ready());
    start();
    EXPECT_EQ(driver.run(1, read(1, 1)), 0);
}

TEST_F(NvmeTest, ShutdownFlushes) {
    start();
    medium.hold(true);
    driver.set(kCc, driver.get(kCc) | 1 << 14);
    EXPECT_EQ(driver.get(kCsts) & csts::kShutdown, csts::kShutdownOccurring);
    medium.release_all();
    EXPECT_EQ(driver.get(kCsts) & csts::kShutdown, csts::kShutdownComplete);
    EXPECT_EQ(medium.records().back().operation, BlockOperation::kFlush);
    driver.disable();
    EXPECT_EQ(driver.get(kCsts), 0u);
}

TEST_F(NvmeTest, Features) {
    start();
    EXPECT_EQ(driver.run(0, admin(admin::kSetFeatures, feature::kQueues, 0x003f003f)), 0);
    EXPECT_EQ(driver.result, 0x00030003u);
    EXPECT_EQ(driver.run(0, admin(admin::kSetFeatures, feature::kQueues, 0xffff)),
              status::kInvalidField);
    EXPECT_EQ(driver.run(0, admin(admin::kGetFeatures, feature::kWriteCache)), 0);
    EXPECT_EQ(driver.result, 1u);
    EXPECT_EQ(driver.run(0, admin(admin::kSetFeatures, feature::kAsyncEvents, 0x1ff)), 0);
    EXPECT_EQ(driver.run(0, admin(admin::kGetFeatures, feature::kAsyncEvents)), 0);
    EXPECT_EQ(driver.result, 0x1ffu);
    EXPECT_EQ(driver.run(0, admin(admin::kGetFeatures, feature::kAsyncEvents | 1 << 8)), 0);
    EXPECT_EQ(driver.result, 0u);
    EXPECT_EQ(driver.run(0, admin(admin::kSetFeatures, 1u << 31 | feature::kWriteCache)),
              status::kNotSaveable);
    EXPECT_EQ(driver.run(0, admin(admin::kGetFeatures, 0x7e)), status::kInvalidField);
    EXPECT_EQ(driver.run(0, admin(admin::kSetFeatures, feature::kPower, 1)), status::kInvalidField);
}

TEST_F(NvmeTest, LogPages) {
    start();
    EXPECT_EQ(driver.run(1, read(0, 8)), 0);
    const auto log = [&](uint8_t id, uint32_t dwords, uint32_t offset = 0) {
        Submission command = admin(admin::kGetLogPage, id | (dwords - 1) << 16);
        command.cdw12 = offset;
        return driver.run(0, command);
    };
    EXPECT_EQ(log(log_page::kHealth, 128), 0);
    auto page = driver.bytes(kData, 512);
    EXPECT_EQ(load_unaligned<uint16_t>(&page[1]), 303);
    EXPECT_EQ(load_unaligned<uint64_t>(&page[64]), 1u);
    EXPECT_EQ(log(log_page::kFirmware, 128), 0);
    EXPECT_EQ(std::memcmp(driver.bytes(kData + 8, 8).data(), "FW      ", 8), 0);
    EXPECT_EQ(log(log_page::kEffects, 1024), 0);
    EXPECT_EQ(driver.bytes(kData + 1024 + 4, 1)[0], 3);
    EXPECT_EQ(log(log_page::kEffects, 1, 1024 + 8), 0);
    EXPECT_EQ(driver.bytes(kData, 1)[0], 1);
    EXPECT_EQ(log(log_page::kErrors, 64), 0);
    EXPECT_EQ(log(0x70, 1), status::kInvalidLogPage);
    EXPECT_EQ(log(log_page::kHealth, 1, 1024), status::kInvalidField);
}

TEST_F(NvmeTest, EventsAreToldOnceUntilTheLogIsRead) {
    start();
    const uint16_t cid = driver.add(0, admin(admin::kAsyncEventRequest));
    driver.ring(0);
    EXPECT_FALSE(driver.take(0).has_value());
    driver.set(kDoorbells + 4 * 8, 1);  // no such queue
    auto told = driver.take(0);
    ASSERT_TRUE(told.has_value());
    EXPECT_EQ(told->cid, cid);
    EXPECT_EQ(told->result, event::kInvalidDoorbell);
    for (unsigned i = 0; i < 4; ++i) driver.add(0, admin(admin::kAsyncEventRequest));
    driver.ring(0);
    driver.set(kDoorbells + 8, 4000);
    EXPECT_FALSE(driver.take(0).has_value());
    EXPECT_EQ(driver.run(0, admin(admin::kAsyncEventRequest)), status::kAsyncLimitExceeded);
    EXPECT_EQ(driver.run(0, admin(admin::kGetLogPage, log_page::kErrors | 15 << 16)), 0);
    driver.set(kDoorbells + 8, 4000);
    told = driver.take(0);
    ASSERT_TRUE(told.has_value());
    EXPECT_EQ(told->result, event::kInvalidDoorbellValue);
    EXPECT_EQ(driver.run(0, admin(admin::kAbort, 0)), 0);
    EXPECT_EQ(driver.result, 1u);
}

TEST_F(NvmeTest, ThePinFollowsTheQueues) {
    start();
    EXPECT_FALSE(board.intx.level());
    driver.add(1, read(0, 1));
    driver.ring(1);
    EXPECT_TRUE(board.intx.level());
    driver.set(kIntms, 2);
    EXPECT_FALSE(board.intx.level());
    driver.set(kIntmc, 2);
    EXPECT_TRUE(board.intx.level());
    EXPECT_TRUE(driver.take(1).has_value());
    EXPECT_FALSE(board.intx.level());
}

TEST_F(NvmeTest, EachQueueHasItsMessage) {
    PciFunction& function = controller->function();
    unsigned at = function.config_read(0x34, 1);
    while (at != 0 && function.config_read(at, 1) != 0x11) at = function.config_read(at + 1, 1);
    ASSERT_NE(at, 0u);
    EXPECT_EQ(function.config_read(at + 2, 2) & 0x7ff, 4u);  // five vectors
    for (uint32_t vector = 0; vector < 5; ++vector) {
        driver.set(0x2000 + vector * 16, 0xfee00000);
        driver.set(0x2000 + vector * 16 + 8, 0x50 + vector);
        driver.set(0x2000 + vector * 16 + 12, 0);
    }
    function.config_write(at + 2, 2, 0x8000);
    start(3);
    board.msi.take();
    EXPECT_EQ(driver.run(3, read(0, 1)), 0);
    EXPECT_EQ(driver.run(1, read(0, 1)), 0);
    const auto messages = board.msi.take();
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[0].data, 0x53u);
    EXPECT_EQ(messages[1].data, 0x51u);
    EXPECT_FALSE(board.intx.level());
}

TEST_F(NvmeTest, TheBoardsReset) {
    start();
    driver.add(1, read(0, 1));
    driver.ring(1);
    controller->reset();
    EXPECT_FALSE(board.intx.level());
    board.set_up(controller->function());
    EXPECT_EQ(driver.get(kCsts), 0u);
    EXPECT_EQ(driver.get(kCc), 0u);
    start();
    EXPECT_EQ(driver.run(1, read(0, 1)), 0);
}

TEST_F(NvmeTest, LargeBlocksAndReadOnlyMedia) {
    BlockGeometry geometry = medium.geometry();
    geometry.logical_block_size = geometry.physical_block_size = 4096;
    geometry.read_only = true;
    testing::MemoryDisk fixed(geometry);
    testing::PciSlotBoard other_board(0x1000000);
    NvmeController other(other_board.attachment(), fixed, {});
    other_board.set_up(other.function());
    NvmeDriver other_driver(other_board);
    other_driver.enable();
    ASSERT_EQ(other_driver.create_queues(1), 0);
    EXPECT_EQ(other_driver.run(1, read(2, 1)), 0);
    EXPECT_EQ(fixed.records().back().offset, 8192u);
    EXPECT_EQ(other_driver.run(1, NvmeDriver::transfer(io::kWrite, 2, 1, kData)),
              status::kWriteProtected);
    EXPECT_EQ(other_driver.run(0, admin(admin::kIdentify, identify::kNamespace, 0, 1)), 0);
    EXPECT_EQ(other_driver.bytes(kData + 130, 1)[0], 12);
    EXPECT_EQ(other_driver.bytes(kData + 99, 1)[0], 1);
}

}  // namespace
}  // namespace mynah
