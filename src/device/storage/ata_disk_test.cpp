#include "device/storage/ata_disk.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/bits.h"
#include "device/storage/ata_host_test.h"
#include "spec/ata/commands.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

using namespace ata;

constexpr uint64_t kSectors = 0x20000;

class AtaDiskTest : public ::testing::Test {
  protected:
    AtaOutcome run(uint8_t command, uint16_t count = 0, uint64_t lba = 0, uint16_t features = 0,
                   uint8_t device = device::kLba) {
        return host.run({command, device, features, count, lba});
    }
    std::vector<uint8_t> pattern(size_t sectors, uint8_t seed) {
        std::vector<uint8_t> bytes(sectors * 512);
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(seed + i / 7);
        return bytes;
    }
    bool on_medium(uint64_t lba, const std::vector<uint8_t>& bytes) {
        return std::memcmp(medium.bytes().data() + lba * 512, bytes.data(), bytes.size()) == 0;
    }
    uint16_t word(unsigned index) { return load_unaligned<uint16_t>(host.data.data() + 2 * index); }
    std::string text(unsigned index, unsigned words) {
        std::string result;
        for (unsigned i = index; i < index + words; ++i) {
            result += static_cast<char>(word(i) >> 8);
            result += static_cast<char>(word(i) & 0xff);
        }
        return result;
    }

    testing::MemoryDisk medium{kSectors * 512};
    AtaDisk disk{medium, {"S-42", "MODEL", "FW1", 0x5001234567890abc, true}};
    testing::AtaHost host{disk};
};

TEST_F(AtaDiskTest, IdentifyTellsSizeTextsAndSettings) {
    EXPECT_FALSE(run(kIdentifyDevice).failed());
    ASSERT_EQ(host.data.size(), 512u);
    EXPECT_EQ(text(10, 10), "S-42                ");
    EXPECT_EQ(text(23, 4), "FW1     ");
    EXPECT_EQ(text(27, 20).substr(0, 6), "MODEL ");
    EXPECT_EQ(word(60) | uint32_t{word(61)} << 16, kSectors);
    EXPECT_EQ(load_unaligned<uint64_t>(host.data.data() + 200), kSectors);
    EXPECT_EQ(word(75), 31);
    EXPECT_NE(word(76) & 0x100, 0);
    EXPECT_EQ(word(169), 1);
    EXPECT_EQ(word(108), 0x5001);
    uint8_t sum = 0;
    for (const uint8_t byte : host.data) sum = static_cast<uint8_t>(sum + byte);
    EXPECT_EQ(sum, 0);
    EXPECT_EQ(host.data[510], 0xa5);
}

TEST_F(AtaDiskTest, EveryReadCommandReadsTheSectorsItNames) {
    const auto bytes = pattern(4, 3);
    std::memcpy(medium.bytes().data() + 100 * 512, bytes.data(), bytes.size());
    EXPECT_FALSE(run(kSetMultiple, 2).failed());
    for (const uint8_t command : {kReadSectors, kReadSectorsNoRetry, kReadSectorsExt, kReadMultiple,
                                  kReadMultipleExt, kReadDma, kReadDmaNoRetry, kReadDmaExt}) {
        EXPECT_FALSE(run(command, 4, 100).failed()) << int{command};
        EXPECT_EQ(host.data, bytes) << int{command};
        const bool multiple = command == kReadMultiple || command == kReadMultipleExt;
        EXPECT_EQ(host.command.block_bytes, multiple ? 1024u : 512u);
    }
    EXPECT_FALSE(run(kReadFpdmaQueued, 5 << 3, 100, 4).failed());
    EXPECT_EQ(host.data, bytes);
    EXPECT_TRUE(host.command.queued);
    EXPECT_EQ(host.command.tag(), 5);
}

TEST_F(AtaDiskTest, EveryWriteCommandWritesThere) {
    uint8_t seed = 0;
    EXPECT_FALSE(run(kSetMultiple, 16).failed());
    for (const uint8_t command :
         {kWriteSectors, kWriteSectorsNoRetry, kWriteSectorsExt, kWriteMultiple, kWriteMultipleExt,
          kWriteMultipleFuaExt, kWriteDma, kWriteDmaNoRetry, kWriteDmaExt, kWriteDmaFuaExt}) {
        host.data = pattern(3, ++seed);
        const auto bytes = host.data;
        EXPECT_FALSE(run(command, 3, 50).failed()) << int{command};
        EXPECT_TRUE(on_medium(50, bytes)) << int{command};
        EXPECT_EQ(medium.records().back().durable,
                  command == kWriteMultipleFuaExt || command == kWriteDmaFuaExt);
    }
    host.data = pattern(3, 99);
    EXPECT_FALSE(run(kWriteFpdmaQueued, 0, 50, 3, 0xc0).failed());
    EXPECT_TRUE(medium.records().back().durable);
}

TEST_F(AtaDiskTest, CountZeroMeansTheMost) {
    run(kReadSectors, 0, 0);
    EXPECT_EQ(host.data.size(), 256u * 512);
    run(kReadDmaExt, 0, 0);
    EXPECT_EQ(host.data.size(), 65536u * 512);
    run(kReadFpdmaQueued, 0, 0, 0);
    EXPECT_EQ(host.data.size(), 65536u * 512);
}

TEST_F(AtaDiskTest, Lba28TakesItsTopBitsFromTheDeviceRegister) {
    // Bits 27:24 come from the device register; bits 47:24 are not looked at.
    EXPECT_FALSE(run(kReadDma, 1, 0xff000001).failed());
    EXPECT_EQ(medium.records().back().offset, 512u);
    EXPECT_EQ(run(kReadDma, 1, 1, 0, device::kLba | 1).error, error::kIdNotFound);
}

TEST_F(AtaDiskTest, CylindersHeadsAndSectors) {
    EXPECT_FALSE(run(kReadSectors, 1, 2 << 8 | 5, 0, 3).failed());  // cylinder 2, head 3, sector 5
    EXPECT_EQ(medium.records().back().offset, ((2 * 16 + 3) * 63 + 4) * 512u);
    EXPECT_EQ(run(kReadSectors, 1, 0, 0, 0).error, error::kIdNotFound);   // there is no sector 0
    EXPECT_EQ(run(kReadSectors, 1, 64, 0, 0).error, error::kIdNotFound);  // nor a 64
    EXPECT_FALSE(run(kInitializeParameters, 32, 0, 0, 7).failed());
    EXPECT_FALSE(run(kReadSectors, 1, 1 << 8 | 1, 0, 0).failed());
    EXPECT_EQ(medium.records().back().offset, 8u * 32 * 512);
    run(kIdentifyDevice);
    EXPECT_EQ(word(55), 8);
    EXPECT_EQ(word(56), 32);
}

TEST_F(AtaDiskTest, BeyondTheEndNothingIsTouched) {
    EXPECT_EQ(run(kReadDmaExt, 2, kSectors - 1).error, error::kIdNotFound);
    EXPECT_EQ(run(kReadDmaExt, 1, low_mask(48)).error, error::kIdNotFound);
    EXPECT_EQ(run(kReadVerifyExt, 1, kSectors).error, error::kIdNotFound);
    EXPECT_TRUE(medium.records().empty());
    EXPECT_FALSE(run(kReadDmaExt, 1, kSectors - 1).failed());
}

TEST_F(AtaDiskTest, MultipleNeedsToBeSetToAPowerOfTwo) {
    EXPECT_TRUE(run(kReadMultiple, 1, 0).failed());
    EXPECT_TRUE(run(kSetMultiple, 3).failed());
    EXPECT_TRUE(run(kSetMultiple, 32).failed());
    EXPECT_FALSE(run(kSetMultiple, 8).failed());
    EXPECT_FALSE(run(kReadMultiple, 1, 0).failed());
    run(kIdentifyDevice);
    EXPECT_EQ(word(59), 0x108);
}

TEST_F(AtaDiskTest, WriteCacheOffMakesWritesDurable) {
    EXPECT_FALSE(run(kSetFeatures, 0, 0, set_features::kDisableWriteCache).failed());
    EXPECT_EQ(medium.records().back().operation, BlockOperation::kFlush);
    host.data = pattern(1, 1);
    run(kWriteDma, 1, 0);
    EXPECT_TRUE(medium.records().back().durable);
    run(kIdentifyDevice);
    EXPECT_EQ(word(85) & 0x20, 0);
    disk.reset(AtaDevice::Reset::kPowerOn);
    run(kIdentifyDevice);
    EXPECT_NE(word(85) & 0x20, 0);
}

TEST_F(AtaDiskTest, SoftResetKeepsSettingsWhenTold) {
    run(kSetFeatures, 0, 0, set_features::kDisableRevert);
    run(kSetMultiple, 4);
    disk.reset(AtaDevice::Reset::kSoft);
    run(kIdentifyDevice);
    EXPECT_EQ(word(59), 0x104);
    run(kSetFeatures, 0, 0, set_features::kEnableRevert);
    disk.reset(AtaDevice::Reset::kSoft);
    run(kIdentifyDevice);
    EXPECT_EQ(word(59), 0);
}

TEST_F(AtaDiskTest, TransferModesAreShownByIdentify) {
    EXPECT_FALSE(run(kSetFeatures, 0x42, 0, set_features::kSetTransferMode).failed());
    run(kIdentifyDevice);
    EXPECT_EQ(word(88), 0x047f);
    EXPECT_EQ(word(63), 0x0007);
    EXPECT_FALSE(run(kSetFeatures, 0x22, 0, set_features::kSetTransferMode).failed());
    run(kIdentifyDevice);
    EXPECT_EQ(word(88), 0x007f);
    EXPECT_EQ(word(63), 0x0407);
    for (const uint8_t mode : {0x47, 0x23, 0x0d, 0x02, 0xff}) {
        EXPECT_TRUE(run(kSetFeatures, mode, 0, set_features::kSetTransferMode).failed());
    }
    EXPECT_TRUE(run(kSetFeatures, 0, 0, 0x5d).failed());
}

TEST_F(AtaDiskTest, FlushAndStandbyReachTheMedium) {
    for (const uint8_t command : {kFlushCache, kFlushCacheExt, kStandbyImmediate}) {
        EXPECT_FALSE(run(command).failed());
        EXPECT_EQ(medium.records().back().operation, BlockOperation::kFlush);
    }
    EXPECT_EQ(medium.records().size(), 3u);
    EXPECT_EQ(run(kCheckPowerMode).count, 0x00);
    run(kReadDma, 1, 0);
    EXPECT_EQ(run(kCheckPowerMode).count, 0xff);
    run(kStandby);
    EXPECT_EQ(run(kCheckPowerMode).count, 0x00);
    run(kIdleImmediate);
    EXPECT_EQ(run(kCheckPowerMode).count, 0xff);
}

TEST_F(AtaDiskTest, TrimDiscardsItsRanges) {
    host.data.assign(512, 0);
    store_unaligned(host.data.data(), uint64_t{8} << 48 | 100);
    store_unaligned(host.data.data() + 8, uint64_t{8} << 48 | 108);  // continues the first
    store_unaligned(host.data.data() + 24, uint64_t{1} << 48 | 7);
    EXPECT_FALSE(run(kDataSetManagement, 1, 0, 1).failed());
    const auto records = medium.records();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].operation, BlockOperation::kDiscard);
    EXPECT_EQ(records[0].offset, 100u * 512);
    EXPECT_EQ(records[0].size, 16u * 512);
    EXPECT_EQ(records[1].offset, 7u * 512);
    // One bad range: none is discarded.
    store_unaligned(host.data.data() + 16, uint64_t{2} << 48 | (kSectors - 1));
    EXPECT_EQ(run(kDataSetManagement, 1, 0, 1).error, error::kIdNotFound);
    EXPECT_EQ(medium.records().size(), 2u);
    EXPECT_TRUE(run(kDataSetManagement, 9, 0, 1).failed());
    EXPECT_TRUE(run(kDataSetManagement, 1, 0, 2).failed());
}

TEST_F(AtaDiskTest, MediumErrorsAreTold) {
    medium.fail_with(BlockStatus::kIoError);
    EXPECT_EQ(run(kReadDma, 1, 5).error, error::kUncorrectable);
    host.data = pattern(1, 0);
    const AtaOutcome outcome = run(kWriteDma, 1, 5);
    EXPECT_EQ(outcome.error, error::kAborted);
    EXPECT_NE(outcome.status & status::kFault, 0);
    EXPECT_TRUE(run(kFlushCacheExt).failed());
}

TEST_F(AtaDiskTest, AfterAQueuedErrorOnlyTheLogIsAnswered) {
    medium.fail_with(BlockStatus::kIoError);
    EXPECT_TRUE(run(kReadFpdmaQueued, 9 << 3, 0x1f456, 1).failed());
    medium.fail_with(std::nullopt);
    EXPECT_EQ(run(kReadFpdmaQueued, 1 << 3, 0, 1).error, error::kAborted);
    EXPECT_EQ(run(kIdentifyDevice).error, error::kAborted);
    EXPECT_FALSE(run(kReadLogExt, 1, log_page::kQueuedError).failed());
    EXPECT_EQ(host.data[0], 9);
    EXPECT_EQ(host.data[3], error::kUncorrectable);
    EXPECT_EQ(host.data[4], 0x56);
    EXPECT_EQ(host.data[6], 0x01);
    EXPECT_FALSE(run(kReadFpdmaQueued, 1 << 3, 0, 1).failed());
    EXPECT_FALSE(run(kReadLogDmaExt, 1, log_page::kQueuedError).failed());
    EXPECT_EQ(host.data[0], 0x80);  // none
}

TEST_F(AtaDiskTest, LogDirectoryAndUnknownLogs) {
    EXPECT_FALSE(run(kReadLogExt, 1, log_page::kDirectory).failed());
    EXPECT_EQ(host.data[0x20], 1);
    EXPECT_TRUE(run(kReadLogExt, 2, log_page::kDirectory).failed());
    EXPECT_TRUE(run(kReadLogExt, 0, log_page::kDirectory).failed());
    EXPECT_TRUE(run(kReadLogExt, 1, 0x30).failed());
    EXPECT_TRUE(run(kReadLogExt, 1, 0x0110).failed());
}

TEST_F(AtaDiskTest, SmartOfAHealthyDisk) {
    constexpr uint64_t kKey = uint64_t{smart::kKey} << 8;
    EXPECT_EQ(run(kSmart, 0, kKey, smart::kReturnStatus).lba >> 8, smart::kKey);
    for (const uint8_t what : {smart::kReadData, smart::kReadThresholds}) {
        EXPECT_FALSE(run(kSmart, 1, kKey, what).failed());
        ASSERT_EQ(host.data.size(), 512u);
        uint8_t sum = 0;
        for (const uint8_t byte : host.data) sum = static_cast<uint8_t>(sum + byte);
        EXPECT_EQ(sum, 0);
        EXPECT_EQ(host.data[2], 5);
    }
    EXPECT_FALSE(run(kSmart, 1, kKey | log_page::kSelfTest, smart::kReadLog).failed());
    EXPECT_TRUE(run(kSmart, 1, kKey | 0x80, smart::kReadLog).failed());
    EXPECT_TRUE(run(kSmart, 1, 0, smart::kReadData).failed());
    EXPECT_FALSE(run(kSmart, 0, kKey, smart::kDisable).failed());
    EXPECT_TRUE(run(kSmart, 1, kKey, smart::kReadData).failed());
    EXPECT_FALSE(run(kSmart, 0, kKey, smart::kEnable).failed());
}

TEST_F(AtaDiskTest, UnknownCommandsAreAborted) {
    for (const uint8_t command : {0x00, 0xf1, 0xb1, 0x45, 0xa0, 0xa1}) {
        EXPECT_EQ(run(command, 1, 0).error, error::kAborted) << int{command};
    }
    EXPECT_TRUE(medium.records().empty());
}

TEST_F(AtaDiskTest, ReadOnlyMediumRefusesWrites) {
    BlockGeometry geometry = medium.geometry();
    geometry.read_only = true;
    testing::MemoryDisk fixed(geometry);
    AtaDisk protected_disk(fixed, {});
    testing::AtaHost other(protected_disk);
    other.data = pattern(1, 1);
    EXPECT_TRUE(other.run({kWriteDma, device::kLba, 0, 1, 0}).failed());
    EXPECT_TRUE(other.run({kWriteFpdmaQueued, device::kLba, 1, 0, 0}).failed());
    EXPECT_TRUE(fixed.records().empty());
}

TEST_F(AtaDiskTest, LargeSectorsAndParallelDisks) {
    BlockGeometry geometry = medium.geometry();
    geometry.logical_block_size = geometry.physical_block_size = 4096;
    testing::MemoryDisk large(geometry);
    AtaDisk other_disk(large, {"", "M", "F", 0, false});
    testing::AtaHost other(other_disk);
    EXPECT_FALSE(other.run({kReadDmaExt, device::kLba, 0, 2, 3}).failed());
    EXPECT_EQ(other.data.size(), 8192u);
    EXPECT_EQ(large.records().back().offset, 3u * 4096);
    EXPECT_TRUE(other.run({kReadFpdmaQueued, device::kLba, 1, 0, 0}).failed());
    EXPECT_FALSE(other.run({kIdentifyDevice, 0, 0, 0, 0}).failed());
    EXPECT_EQ(load_unaligned<uint32_t>(other.data.data() + 234), 2048u);
    EXPECT_EQ(load_unaligned<uint16_t>(other.data.data() + 152), 0);
    EXPECT_NE(load_unaligned<uint16_t>(other.data.data() + 186), 0);
}

}  // namespace
}  // namespace mynah
