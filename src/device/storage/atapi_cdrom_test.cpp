#include "device/storage/atapi_cdrom.h"

#include <gtest/gtest.h>

#include <array>

#include "device/storage/ata_host_test.h"
#include "spec/ata/commands.h"
#include "spec/scsi/commands.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

using namespace scsi;

constexpr uint32_t kBlocks = 1000;

class AtapiCdromTest : public ::testing::Test {
  protected:
    AtaOutcome run(std::array<uint8_t, 12> cdb) {
        return host.run({ata::kPacket, 0, 1, 0, 0xfffe00}, cdb);
    }
    testing::MemoryDisk disc{kBlocks * 2048};
    AtapiCdrom drive{{}};
    testing::AtaHost host{drive};
};

TEST_F(AtapiCdromTest, DiskCommandsShowTheSignature) {
    const AtaOutcome outcome = host.run({ata::kIdentifyDevice, 0, 0, 0, 0});
    EXPECT_EQ(outcome.error, ata::error::kAborted);
    EXPECT_EQ(outcome.lba, ata::kPacketSignature);
    EXPECT_FALSE(host.run({ata::kIdentifyPacketDevice, 0, 0, 0, 0}).failed());
    EXPECT_EQ(host.data[0], 0xc0);
    EXPECT_EQ(host.data[1], 0x85);
}

TEST_F(AtapiCdromTest, PacketsMoveDataAndTellSenseKeys) {
    drive.drive().insert(disc);
    disc.bytes()[2048] = std::byte{0x5a};
    EXPECT_EQ(run({kTestUnitReady}).error, 0x60);  // unit attention
    EXPECT_FALSE(run({kTestUnitReady}).failed());
    EXPECT_FALSE(run({kRead10, 0, 0, 0, 0, 1, 0, 0, 2}).failed());
    EXPECT_EQ(host.data.size(), 4096u);
    EXPECT_EQ(host.data[0], 0x5a);
    EXPECT_EQ(host.command.outcome.count, 3);
    EXPECT_EQ(run({kWrite10}).error, 0x54);
    disc.fail_with(BlockStatus::kIoError);
    EXPECT_EQ(run({kRead10, 0, 0, 0, 0, 1, 0, 0, 2}).error, 0x30);
    EXPECT_FALSE(run({kRequestSense, 0, 0, 0, 18}).failed());
    EXPECT_EQ(host.data[12], 0x11);
}

}  // namespace
}  // namespace mynah
