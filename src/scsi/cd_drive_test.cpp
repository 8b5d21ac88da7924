#include "scsi/cd_drive.h"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <vector>

#include "spec/scsi/commands.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

using namespace scsi;

constexpr uint32_t kBlocks = 1000;

class CdDriveTest : public ::testing::Test {
  protected:
    CdDriveTest() {
        for (uint32_t i = 0; i < kBlocks; ++i) {
            std::memcpy(disc.bytes().data() + i * 2048, &i, sizeof i);
        }
    }
    Sense run(std::initializer_list<uint8_t> cdb) { return drive.execute(cdb, data); }
    void put_in() {
        drive.insert(disc);
        EXPECT_EQ(run({kTestUnitReady}), kSenseMediumChanged);
        EXPECT_EQ(run({kTestUnitReady}), kSenseNone);
    }
    uint8_t event() {
        EXPECT_EQ(run({kGetEventStatusNotification, 1, 0, 0, 0x10, 0, 0, 0, 8}), kSenseNone);
        EXPECT_EQ(data.buffer.size(), 8u);
        status = data.buffer[5];
        return data.buffer[4];
    }
    uint32_t number(size_t at) {
        uint32_t value = 0;
        for (unsigned i = 0; i < 4; ++i) value = value << 8 | data.buffer.at(at + i);
        return value;
    }

    testing::MemoryDisk disc{kBlocks * 2048};
    CdDrive drive{{}};
    DataPhase data;
    uint8_t status = 0;
};

TEST_F(CdDriveTest, PowerOnIsTheFirstAttentionAndOnlyOnce) {
    EXPECT_EQ(run({kInquiry, 0, 0, 0, 36}), kSenseNone);  // does not consume it
    EXPECT_EQ(data.buffer.size(), 36u);
    EXPECT_EQ(data.buffer[0], kTypeCdDvd);
    EXPECT_EQ(run({kTestUnitReady}), kSensePowerOn);
    EXPECT_EQ(run({kRequestSense, 0, 0, 0, 18}), kSenseNone);
    EXPECT_EQ(data.buffer[2], kUnitAttention);
    EXPECT_EQ(data.buffer[12], 0x29);
    EXPECT_EQ(run({kTestUnitReady}), kSenseTrayClosed);
    EXPECT_EQ(run({kRequestSense, 0, 0, 0, 18}), kSenseNone);
    EXPECT_EQ(data.buffer[12], 0x3a);
    EXPECT_EQ(run({kRequestSense, 0, 0, 0, 18}), kSenseNone);
    EXPECT_EQ(data.buffer[2], kNoSense);
}

TEST_F(CdDriveTest, ReadsNameTheMedium) {
    put_in();
    EXPECT_EQ(run({kReadCapacity10}), kSenseNone);
    EXPECT_EQ(number(0), kBlocks - 1);
    EXPECT_EQ(number(4), 2048u);
    EXPECT_EQ(run({kRead10, 0, 0, 0, 1, 2, 0, 0, 3}), kSenseNone);
    EXPECT_TRUE(data.with_medium());
    EXPECT_EQ(data.work.ranges[0].offset, 0x102u * 2048);
    EXPECT_EQ(data.size, 3u * 2048);
    EXPECT_EQ(run({kRead12, 0, 0, 0, 0, 4, 0, 0, 0, 5}), kSenseNone);
    EXPECT_EQ(data.work.ranges[0].offset, 4u * 2048);
    EXPECT_EQ(data.size, 5u * 2048);
    EXPECT_EQ(run({kReadCd, 0, 0, 0, 0, 6, 0, 0, 2, 0x10}), kSenseNone);
    EXPECT_EQ(data.work.ranges[0].offset, 6u * 2048);
    EXPECT_EQ(run({kReadCd, 0, 0, 0, 0, 6, 0, 0, 2, 0xf8}), kSenseInvalidField);
    EXPECT_EQ(run({kRead10, 0, 0, 0, 0, 0, 0, 0, 0}), kSenseNone);
    EXPECT_EQ(data.direction, DataPhase::Direction::kNone);
}

TEST_F(CdDriveTest, BeyondTheEndIsRefused) {
    put_in();
    EXPECT_EQ(run({kRead10, 0, 0, 0, 0x03, 0xe7, 0, 0, 2}), kSenseLbaOutOfRange);
    EXPECT_EQ(run({kRead12, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
              kSenseLbaOutOfRange);
    EXPECT_FALSE(data.work.any());
    EXPECT_EQ(run({kSeek10, 0, 0, 0, 0x03, 0xe8}), kSenseLbaOutOfRange);
}

TEST_F(CdDriveTest, TableOfContents) {
    put_in();
    EXPECT_EQ(run({kReadToc, 0, 0, 0, 0, 0, 1, 0, 100}), kSenseNone);
    ASSERT_EQ(data.buffer.size(), 20u);
    EXPECT_EQ(data.buffer[1], 18);
    EXPECT_EQ(data.buffer[5], 0x14);
    EXPECT_EQ(data.buffer[6], 1);
    EXPECT_EQ(data.buffer[14], 0xaa);
    EXPECT_EQ(number(16), kBlocks);
    EXPECT_EQ(run({kReadToc, 2, 0, 0, 0, 0, 0xaa, 0, 100}), kSenseNone);
    ASSERT_EQ(data.buffer.size(), 12u);
    EXPECT_EQ(data.buffer[9], 0);  // 1150 frames are 15 s and 25 frames
    EXPECT_EQ(data.buffer[10], 15);
    EXPECT_EQ(data.buffer[11], 25);
    EXPECT_EQ(run({kReadToc, 0, 1, 0, 0, 0, 0, 0, 12}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 12u);
    EXPECT_EQ(run({kReadToc, 2, 2, 0, 0, 0, 0, 0, 200}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 4u + 4 * 11);
    EXPECT_EQ(run({kReadToc, 0, 5}), kSenseInvalidField);
    EXPECT_EQ(run({kReadToc, 0, 0, 0, 0, 0, 2, 0, 100}), kSenseInvalidField);
}

TEST_F(CdDriveTest, AnswersAreCutToTheAllocationLength) {
    put_in();
    EXPECT_EQ(run({kReadToc, 0, 0, 0, 0, 0, 1, 0, 4}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 4u);
    EXPECT_EQ(data.size, 4u);
    EXPECT_EQ(run({kInquiry, 0, 0, 0, 5}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 5u);
    EXPECT_EQ(run({kModeSense10, 0, 0x2a, 0, 0, 0, 0, 0, 0}), kSenseNone);
    EXPECT_EQ(data.direction, DataPhase::Direction::kNone);
}

TEST_F(CdDriveTest, ConfigurationFollowsTheMedium) {
    EXPECT_EQ(run({kGetConfiguration, 0, 0, 0, 0, 0, 0, 0, 8}), kSenseNone);
    EXPECT_EQ(data.buffer[7], 0);
    put_in();
    EXPECT_EQ(run({kGetConfiguration, 0, 0, 0, 0, 0, 0, 1, 0}), kSenseNone);
    EXPECT_EQ(data.buffer[7], 0x08);
    EXPECT_EQ(number(0), data.buffer.size() - 4);
    EXPECT_EQ(run({kGetConfiguration, 2, 0, 0x1f, 0, 0, 0, 1, 0}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 12u);
    EXPECT_EQ(data.buffer[10] & 1, 0);  // not current
    testing::MemoryDisk dvd(uint64_t{360001} * 2048);
    drive.insert(dvd);
    run({kTestUnitReady});
    EXPECT_EQ(run({kGetConfiguration, 0, 0, 0, 0, 0, 0, 1, 0}), kSenseNone);
    EXPECT_EQ(data.buffer[7], 0x10);
    EXPECT_EQ(run({kReadDvdStructure, 0, 0, 0, 0, 0, 0, 0, 0x10, 0}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 2052u);
    EXPECT_EQ(number(12), 0x30000u + 360000);
    EXPECT_EQ(run({kReadCd, 0, 0, 0, 0, 0, 0, 0, 1, 0x10}), kSenseInvalidOpcode);
}

TEST_F(CdDriveTest, ModePagesAndDiscInformation) {
    put_in();
    EXPECT_EQ(run({kModeSense10, 0, 0x2a, 0, 0, 0, 0, 0, 0xff}), kSenseNone);
    EXPECT_EQ(data.buffer[8], 0x2a);
    EXPECT_EQ(data.buffer.size(), 8u + 22);
    EXPECT_EQ(data.buffer[1], data.buffer.size() - 2);
    EXPECT_EQ(data.buffer[2], 0x01);
    EXPECT_EQ(run({kModeSense6, 0, 0x3f, 0, 0xff}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 4u + 12 + 22);
    EXPECT_EQ(run({kModeSense10, 0, 0xea}), kSenseSavingNotSupported);
    EXPECT_EQ(run({kModeSense10, 0, 0x05}), kSenseInvalidField);
    EXPECT_EQ(run({kReadDiscInformation, 0, 0, 0, 0, 0, 0, 0, 0xff}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 34u);
    EXPECT_EQ(run({kReadTrackInformation, 1, 0, 0, 0, 1, 0, 0, 0xff}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 36u);
    EXPECT_EQ(number(24), kBlocks);
    EXPECT_EQ(run({kMechanismStatus, 0, 0, 0, 0, 0, 0, 0, 0, 8}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 8u);
    EXPECT_EQ(run({kReadSubChannel, 2, 0x40, 1, 0, 0, 0, 0, 16}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 16u);
}

TEST_F(CdDriveTest, VitalPages) {
    EXPECT_EQ(run({kInquiry, 1, 0, 0, 255}), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 7u);
    EXPECT_EQ(run({kInquiry, 1, 0x83, 0, 255}), kSenseNone);
    EXPECT_EQ(run({kInquiry, 1, 0xb0, 0, 255}), kSenseInvalidField);
    EXPECT_EQ(run({kInquiry, 0, 0x80, 0, 255}), kSenseInvalidField);
}

TEST_F(CdDriveTest, TheGuestEjectsAndLoads) {
    put_in();
    EXPECT_EQ(event(), 2);
    EXPECT_EQ(event(), 0);
    EXPECT_EQ(status, 2);
    EXPECT_EQ(run({kPreventAllowMediumRemoval, 0, 0, 0, 1}), kSenseNone);
    EXPECT_EQ(run({kStartStopUnit, 0, 0, 0, 2}), kSenseRemovalPrevented);
    EXPECT_EQ(run({kPreventAllowMediumRemoval}), kSenseNone);
    EXPECT_EQ(run({kStartStopUnit, 0, 0, 0, 2}), kSenseNone);
    EXPECT_TRUE(drive.tray_open());
    EXPECT_EQ(event(), 3);
    EXPECT_EQ(status, 1);
    EXPECT_EQ(run({kRead10, 0, 0, 0, 0, 0, 0, 0, 1}), kSenseTrayOpen);
    EXPECT_EQ(run({kStartStopUnit, 0, 0, 0, 3}), kSenseNone);
    EXPECT_EQ(run({kTestUnitReady}), kSenseMediumChanged);
    EXPECT_EQ(run({kRead10, 0, 0, 0, 0, 0, 0, 0, 1}), kSenseNone);
}

TEST_F(CdDriveTest, TheOperatorChangesTheMedium) {
    put_in();
    event();
    run({kPreventAllowMediumRemoval, 0, 0, 0, 1});
    EXPECT_FALSE(drive.eject(false));
    EXPECT_EQ(event(), 1);  // the guest is asked
    EXPECT_EQ(drive.medium(), &disc);
    EXPECT_TRUE(drive.eject(true));
    EXPECT_EQ(event(), 3);
    EXPECT_EQ(drive.medium(), nullptr);
    testing::MemoryDisk other(10 * 2048);
    drive.insert(other);
    EXPECT_EQ(run({kTestUnitReady}), kSenseMediumChanged);
    EXPECT_EQ(run({kReadCapacity10}), kSenseNone);
    EXPECT_EQ(number(0), 9u);
}

TEST_F(CdDriveTest, UnknownCommands) {
    put_in();
    EXPECT_EQ(run({kWrite10}), kSenseInvalidOpcode);
    EXPECT_EQ(run({0xff}), kSenseInvalidOpcode);
    EXPECT_EQ(run({}), kSenseNone);  // sixteen zeroes are TEST UNIT READY
}

}  // namespace
}  // namespace mynah
