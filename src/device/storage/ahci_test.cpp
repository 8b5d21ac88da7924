#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "device/storage/ahci_controller.h"
#include "device/storage/ahci_driver_test.h"
#include "spec/ata/commands.h"
#include "spec/scsi/commands.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

using namespace ahci;
using testing::AhciDriver;

constexpr uint64_t kData = AhciDriver::kData;

class AhciTest : public ::testing::Test {
  protected:
    AhciTest() {
        for (size_t i = 0; i < medium.bytes().size(); ++i) {
            medium.bytes()[i] = static_cast<std::byte>(i / 512 + i);
        }
        controller->attach_disk(0, medium, {"SER", "MODEL", "1", 0, true});
        controller->attach_cdrom(1, {});
        board.set_up(controller->function());
    }
    static AhciDriver::Request read_dma(uint64_t lba, uint16_t count, uint64_t to = kData) {
        return {{ata::kReadDmaExt, 0x40, 0, count, lba}, {{to, count * 512u}}, false, {}};
    }
    static AhciDriver::Request read_queued(unsigned tag, uint64_t lba, uint16_t count) {
        return {{ata::kReadFpdmaQueued, 0x40, count, static_cast<uint16_t>(tag << 3), lba},
                {{kData + tag * 0x10000, count * 512u}},
                false,
                {}};
    }
    bool same(uint64_t guest, uint64_t lba, size_t sectors) {
        const auto bytes = disk.bytes(guest, sectors * 512);
        return std::memcmp(bytes.data(), medium.bytes().data() + lba * 512, bytes.size()) == 0;
    }

    testing::PciSlotBoard board{0x800000};
    testing::MemoryDisk medium{0x100000};
    std::unique_ptr<AhciController> controller =
        std::make_unique<AhciController>(board.attachment(), AhciOptions{});
    AhciDriver disk{board, 0}, cdrom{board, 1}, nobody{board, 2};
};

TEST_F(AhciTest, RegistersAfterPowerOn) {
    EXPECT_EQ(controller->function().config_read(0, 4), 0x29228086u);
    EXPECT_EQ(controller->function().config_read(8, 4) >> 8, 0x010601u);
    const uint32_t cap = disk.global(kCap);
    EXPECT_EQ(cap & 0x1f, 5u);
    EXPECT_EQ(cap >> 8 & 0x1f, 31u);
    EXPECT_NE(cap & cap::kQueuing, 0u);
    EXPECT_EQ(disk.global(kPi), 0x3fu);
    EXPECT_EQ(disk.global(kVs), 0x10301u);
    EXPECT_EQ(disk.global(kGhc), ghc::kAhciEnable);
    EXPECT_EQ(disk.get(kSsts), 0x133u);
    EXPECT_EQ(disk.get(kSig), 0x00000101u);
    EXPECT_EQ(disk.get(kTfd), 0x150u);
    EXPECT_EQ(cdrom.get(kSig), 0xeb140101u);
    EXPECT_EQ(nobody.get(kSsts), 0u);
    EXPECT_EQ(nobody.get(kSig), 0xffffffffu);
    EXPECT_EQ(nobody.get(kTfd), 0x7fu);
}

TEST_F(AhciTest, WriteMasks) {
    disk.set(kClb, 0xffffffff);
    EXPECT_EQ(disk.get(kClb), 0xfffffc00u);
    disk.set(kFb, 0xffffffff);
    EXPECT_EQ(disk.get(kFb), 0xffffff00u);
    disk.set(kPxIe, 0xffffffff);
    EXPECT_EQ(disk.get(kPxIe), is::kEnables);
    disk.set(kCi, 1);  // the list does not run
    EXPECT_EQ(disk.get(kCi), 0u);
    disk.set(kSact, 1);
    EXPECT_EQ(disk.get(kSact), 0u);
    EXPECT_EQ(disk.get(kPxIs), is::kConnectChange | is::kPhyReady);
    disk.set(kSerr, 0xffffffff);
    EXPECT_EQ(disk.get(kPxIs), 0u);
}

TEST_F(AhciTest, TheSignatureIsReceivedWhenTheGuestReceives) {
    disk.start();
    const auto fis = disk.fis(kReceivedDeviceToHost);
    EXPECT_EQ(fis[0], fis::kDeviceToHost);
    EXPECT_EQ(fis[2], 0x50);
    EXPECT_EQ(fis[4], 1);
    EXPECT_EQ(disk.get(kPxIs), 0u);
    EXPECT_NE(disk.get(kPxCmd) & cmd::kListRunning, 0u);
}

TEST_F(AhciTest, IdentifyEndsWithPioSetup) {
    disk.start();
    disk.run({{ata::kIdentifyDevice, 0, 0, 0, 0}, {{kData, 512}}, false, {}});
    EXPECT_EQ(disk.get(kCi), 0u);
    EXPECT_EQ(disk.get(kPxIs), is::kPioSetup);
    EXPECT_EQ(disk.get(kTfd), 0x50u);
    EXPECT_EQ(disk.moved(0), 512u);
    const auto fis = disk.fis(kReceivedPioSetup);
    EXPECT_EQ(fis[0], fis::kPioSetup);
    EXPECT_EQ(fis[1], 0x60);
    EXPECT_EQ(fis[15], 0x50);
    EXPECT_EQ(fis[16] | fis[17] << 8, 512);
    EXPECT_EQ(disk.bytes(kData + 54, 2), (std::vector<uint8_t>{'O', 'M'}));
    EXPECT_TRUE(board.intx.level());
    disk.set(kPxIs, is::kPioSetup);
    EXPECT_TRUE(board.intx.level());  // until the adapter's bit is cleared, too
    disk.set_global(kIs, 1);
    EXPECT_FALSE(board.intx.level());
}

TEST_F(AhciTest, DmaReadsIntoScatteredMemory) {
    disk.start();
    AhciDriver::Request request = read_dma(7, 4);
    request.buffers = {{kData + 2, 510}, {kData + 0x2000, 1026}, {kData + 0x4000, 512}};
    disk.run(request);
    EXPECT_EQ(disk.get(kPxIs), is::kDeviceToHost);
    EXPECT_EQ(disk.moved(0), 2048u);
    std::vector<uint8_t> all = disk.bytes(kData + 2, 510);
    for (const auto& part : {disk.bytes(kData + 0x2000, 1026), disk.bytes(kData + 0x4000, 512)}) {
        all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(std::memcmp(all.data(), medium.bytes().data() + 7 * 512, 2048), 0);
}

TEST_F(AhciTest, DmaWrites) {
    disk.start();
    ASSERT_TRUE(board.memory->fill(GuestPhys(kData), std::byte{0x77}, 1024));
    disk.run({{ata::kWriteDmaExt, 0x40, 0, 2, 9}, {{kData, 1024}}, true, {}});
    EXPECT_EQ(disk.get(kTfd), 0x50u);
    EXPECT_EQ(medium.bytes()[9 * 512], std::byte{0x77});
    EXPECT_EQ(medium.bytes()[11 * 512 - 1], std::byte{0x77});
    EXPECT_NE(medium.bytes()[11 * 512], std::byte{0x77});
}

TEST_F(AhciTest, FlushAndTrim) {
    disk.start();
    disk.run({{ata::kFlushCacheExt, 0x40, 0, 0, 0}, {}, false, {}});
    EXPECT_EQ(medium.records().back().operation, BlockOperation::kFlush);
    ASSERT_TRUE(board.memory->fill(GuestPhys(kData), std::byte{0}, 512));
    ASSERT_TRUE(board.memory->store(GuestPhys(kData), uint64_t{3} << 48 | 5));
    disk.run({{ata::kDataSetManagement, 0x40, 1, 1, 0}, {{kData, 512}}, true, {}});
    EXPECT_EQ(medium.records().back().operation, BlockOperation::kDiscard);
    EXPECT_EQ(medium.records().back().size, 3u * 512);
    EXPECT_EQ(disk.get(kCi), 0u);
}

TEST_F(AhciTest, QueuedCommandsEndInAnyOrder) {
    disk.start();
    medium.hold(true);
    for (unsigned tag = 0; tag < 32; ++tag) {
        disk.prepare(tag, read_queued(tag, tag * 2, 2));
        disk.issue_queued(tag);
    }
    EXPECT_EQ(disk.get(kCi), 0u);  // all taken
    EXPECT_EQ(disk.get(kSact), 0xffffffffu);
    EXPECT_EQ(disk.get(kPxIs), 0u);
    EXPECT_EQ(medium.held(), 32u);
    EXPECT_TRUE(medium.release_one());
    EXPECT_EQ(disk.get(kSact), 0xfffffffeu);
    EXPECT_EQ(disk.get(kPxIs), is::kSetDeviceBits);
    const auto fis = disk.fis(kReceivedSetDeviceBits, 8);
    EXPECT_EQ(fis[0], fis::kSetDeviceBits);
    EXPECT_EQ(fis[4], 1);
    medium.release_all();
    EXPECT_EQ(disk.get(kSact), 0u);
    for (unsigned tag = 0; tag < 32; ++tag) EXPECT_TRUE(same(kData + tag * 0x10000, tag * 2, 2));
}

TEST_F(AhciTest, PlainCommandsGoOneByOne) {
    disk.start();
    medium.hold(true);
    for (unsigned slot = 0; slot < 3; ++slot) {
        disk.prepare(slot, read_dma(slot, 1, kData + slot * 512));
    }
    disk.set(kCi, 7);
    EXPECT_EQ(medium.held(), 1u);
    EXPECT_EQ(disk.get(kCi), 7u);
    EXPECT_NE(disk.get(kTfd) & 0x80, 0u);
    EXPECT_TRUE(medium.release_one());
    EXPECT_EQ(disk.get(kCi), 6u);
    EXPECT_EQ(medium.held(), 1u);
    medium.release_all();
    EXPECT_EQ(disk.get(kCi), 0u);
    EXPECT_TRUE(same(kData, 0, 3));
}

TEST_F(AhciTest, AnErrorStopsThePortUntilStartIsCleared) {
    disk.start();
    disk.prepare(0, read_dma(0xfffff, 1));
    disk.prepare(1, read_dma(0, 1));
    disk.set(kCi, 3);
    EXPECT_EQ(disk.get(kTfd), 0x1051u);
    EXPECT_NE(disk.get(kPxIs) & is::kTaskFileError, 0u);
    EXPECT_EQ(disk.get(kCi), 3u);
    EXPECT_TRUE(medium.records().empty());
    disk.stop();
    EXPECT_EQ(disk.get(kPxCmd) & cmd::kListRunning, 0u);
    EXPECT_EQ(disk.get(kCi), 0u);
    disk.set(kPxIs, 0xffffffff);
    disk.start();
    disk.run(read_dma(3, 1));
    EXPECT_TRUE(same(kData, 3, 1));
}

TEST_F(AhciTest, AQueuedErrorIsFoundInTheLog) {
    disk.start();
    medium.hold(true);
    for (unsigned tag : {4u, 5u}) {
        disk.prepare(tag, read_queued(tag, tag, 1));
        disk.issue_queued(tag);
    }
    medium.fail_with(BlockStatus::kIoError);
    EXPECT_TRUE(medium.release_one());
    EXPECT_EQ(disk.get(kSact), 0x30u);  // nothing was done
    EXPECT_NE(disk.get(kPxIs) & is::kTaskFileError, 0u);
    EXPECT_EQ(disk.get(kTfd), 0x4051u);
    medium.fail_with(std::nullopt);
    disk.stop();
    // The other command is still away: the list runs on until it is back.
    EXPECT_NE(disk.get(kPxCmd) & cmd::kListRunning, 0u);
    medium.release_all();
    EXPECT_EQ(disk.get(kPxCmd) & cmd::kListRunning, 0u);
    EXPECT_EQ(disk.get(kSact), 0u);
    medium.hold(false);
    disk.start();
    disk.run({{ata::kReadLogExt, 0x40, 0, 1, 0x10}, {{kData, 512}}, false, {}});
    EXPECT_EQ(disk.bytes(kData, 1)[0], 4);
    disk.prepare(5, read_queued(5, 5, 1));
    disk.issue_queued(5);
    EXPECT_EQ(disk.get(kSact), 0u);
    EXPECT_TRUE(same(kData + 5 * 0x10000, 5, 1));
}

TEST_F(AhciTest, ShortAndBadDescriptors) {
    disk.start();
    AhciDriver::Request request = read_dma(0, 2);
    request.buffers = {{kData, 512}};
    disk.run(request);
    EXPECT_NE(disk.get(kPxIs) & is::kOverflow, 0u);
    EXPECT_NE(disk.get(kPxIs) & is::kTaskFileError, 0u);
    disk.stop();
    disk.start();
    request.buffers = {{0xffffffff00000000, 1024}};
    disk.run(request);
    EXPECT_NE(disk.get(kPxIs) & is::kBusFatal, 0u);
    EXPECT_TRUE(medium.records().empty());
    disk.stop();
    EXPECT_EQ(disk.get(kPxCmd) & cmd::kListRunning, 0u);
    // The device was left in the middle of the transfer.
    EXPECT_NE(disk.get(kTfd) & 0x80, 0u);
    disk.set(kPxCmd, cmd::kFisEnable | cmd::kOverride);
    disk.start();
    disk.run(read_dma(1, 1));
    EXPECT_TRUE(same(kData, 1, 1));
}

TEST_F(AhciTest, NoMemoryWithoutBusMastering) {
    disk.start();
    controller->function().config_write(4, 2, 3);
    disk.run(read_dma(1, 1));
    EXPECT_NE(disk.get(kPxIs) & is::kBusFatal, 0u);
}

TEST_F(AhciTest, SoftReset) {
    disk.start();
    disk.prepare(0, {{}, {}, false, {}}, ata::control::kSoftReset, false);
    disk.issue(0);
    EXPECT_EQ(disk.get(kCi), 0u);
    EXPECT_NE(disk.get(kTfd) & 0x80, 0u);
    disk.set(kPxCmd, cmd::kFisEnable);
    disk.set(kPxCmd, cmd::kFisEnable | cmd::kOverride);
    disk.set(kPxCmd, cmd::kFisEnable | cmd::kStart);
    disk.prepare(0, {{}, {}, false, {}}, 0, false);
    disk.issue(0);
    EXPECT_EQ(disk.get(kTfd), 0x150u);
    EXPECT_EQ(disk.fis(kReceivedDeviceToHost)[12], 1);
}

TEST_F(AhciTest, PortResetWaitsForWhatIsAway) {
    disk.start();
    medium.hold(true);
    disk.run(read_dma(1, 1));
    disk.stop();
    disk.set(kSctl, 1);
    EXPECT_EQ(disk.get(kSsts), 0u);
    disk.set(kSctl, 0);
    EXPECT_EQ(disk.get(kSsts), 0u);
    medium.hold(false);
    medium.release_all();
    EXPECT_EQ(disk.get(kSsts), 0x133u);
    EXPECT_EQ(disk.get(kTfd), 0x150u);
    EXPECT_NE(disk.get(kSerr) & serr::kExchanged, 0u);
    disk.start();
    disk.run(read_dma(2, 1));
    EXPECT_TRUE(same(kData, 2, 1));
    disk.set(kSctl, 0x11);
    disk.set(kSctl, 0x10);  // generation 1 at most
    EXPECT_EQ(disk.get(kSsts), 0x113u);
    disk.set(kSctl, 4);
    EXPECT_EQ(disk.get(kSsts), 4u);
}

TEST_F(AhciTest, AdapterReset) {
    disk.start();
    medium.hold(true);
    disk.run(read_dma(1, 1));
    disk.set_global(kGhc, ghc::kReset);
    EXPECT_NE(disk.global(kGhc) & ghc::kReset, 0u);
    medium.release_all();
    EXPECT_EQ(disk.global(kGhc), ghc::kAhciEnable);
    EXPECT_EQ(disk.get(kPxIe), 0u);
    EXPECT_EQ(disk.get(kSsts), 0x133u);
    EXPECT_EQ(disk.global(kIs), 0u);
}

TEST_F(AhciTest, StaggeredSpinUp) {
    testing::PciSlotBoard other(0x800000);
    AhciController staggered(other.attachment(), {true});
    staggered.attach_disk(0, medium, {});
    other.set_up(staggered.function());
    AhciDriver driver(other, 0);
    EXPECT_NE(driver.global(kCap) & cap::kStaggeredSpinUp, 0u);
    EXPECT_EQ(driver.get(kSsts), 0u);
    driver.set(kPxCmd, cmd::kSpinUp);
    EXPECT_EQ(driver.get(kSsts), 0x133u);
}

TEST_F(AhciTest, MessagesInsteadOfTheWire) {
    PciFunction& function = controller->function();
    unsigned at = function.config_read(0x34, 1);
    while (at != 0 && function.config_read(at, 1) != 5) at = function.config_read(at + 1, 1);
    ASSERT_NE(at, 0u);
    const bool wide = (function.config_read(at + 2, 2) & 0x80) != 0;
    function.config_write(at + 4, 4, 0xfee00000);
    function.config_write(at + (wide ? 12 : 8), 2, 0x41);
    function.config_write(at + 2, 2, 1);
    disk.start();
    board.msi.take();
    disk.run(read_dma(0, 1));
    const auto messages = board.msi.take();
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].data, 0x41u);
    EXPECT_FALSE(board.intx.level());
    disk.set(kPxIs, 0xffffffff);
    disk.set_global(kIs, 1);
    EXPECT_TRUE(board.msi.take().empty());
    disk.run(read_dma(0, 1));
    EXPECT_EQ(board.msi.take().size(), 1u);
    // Not cleared at the port: told again.
    disk.set_global(kIs, 1);
    EXPECT_EQ(board.msi.take().size(), 1u);
}

TEST_F(AhciTest, IndexAndDataPorts) {
    constexpr uint64_t kPorts4 = testing::PciSlotBoard::kIoBars + 0x400;
    board.ports.write(kPorts4 + 0x10, 4, kVs);
    EXPECT_EQ(board.ports.read(kPorts4 + 0x14, 4), kVersion131);
}

TEST_F(AhciTest, PacketsReadDiscsThatComeAndGo) {
    testing::MemoryDisk disc(100 * 2048);
    disc.bytes()[2048] = std::byte{0xcd};
    cdrom.start();
    const auto packet = [&](std::vector<uint8_t> cdb, uint32_t size) {
        cdb.resize(12);
        cdrom.run({{ata::kPacket, 0, 1, 0, 0}, {{kData, size}}, false, cdb});
        const auto tfd = cdrom.get(kTfd);
        if ((tfd & 1) != 0) {
            cdrom.stop();
            cdrom.start();
        }
        return tfd >> 8;
    };
    EXPECT_EQ(packet({scsi::kTestUnitReady}, 2), 0x60u);
    EXPECT_EQ(packet({scsi::kTestUnitReady}, 2), 0x20u);
    EXPECT_TRUE(controller->insert(1, disc));
    EXPECT_EQ(packet({scsi::kTestUnitReady}, 2), 0x60u);
    EXPECT_EQ(packet({scsi::kRead10, 0, 0, 0, 0, 1, 0, 0, 1}, 2048), 0u);
    EXPECT_EQ(cdrom.bytes(kData, 1)[0], 0xcd);
    EXPECT_EQ(cdrom.moved(0), 2048u);
    EXPECT_EQ(cdrom.get(kPxIs), is::kDeviceToHost);
    EXPECT_EQ(packet({scsi::kInquiry, 0, 0, 0, 36}, 96), 0u);
    EXPECT_EQ(cdrom.moved(0), 36u);
    EXPECT_TRUE(controller->eject(1, false));
    EXPECT_EQ(packet({scsi::kTestUnitReady}, 2), 0x20u);
    EXPECT_FALSE(controller->insert(0, disc));
    EXPECT_FALSE(controller->eject(7, true));
}

TEST_F(AhciTest, EjectWaitsForReadsInFlight) {
    testing::MemoryDisk disc(100 * 2048);
    EXPECT_TRUE(controller->insert(1, disc));
    cdrom.start();
    std::vector<uint8_t> cdb(12);
    cdrom.run({{ata::kPacket, 0, 1, 0, 0}, {}, false, cdb});  // the attention
    cdrom.stop();
    cdrom.start();
    disc.hold(true);
    cdb = {scsi::kRead10, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0};
    cdrom.run({{ata::kPacket, 0, 1, 0, 0}, {{kData, 2048}}, false, cdb});
    ASSERT_EQ(disc.held(), 1u);
    std::atomic<bool> out{false};
    std::thread operator_thread([&] {
        EXPECT_TRUE(controller->eject(1, true));
        out = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(out.load());
    disc.release_all();
    operator_thread.join();
    EXPECT_TRUE(out.load());
}

TEST_F(AhciTest, TheBoardsReset) {
    disk.start();
    disk.run(read_dma(0, 1));
    controller->reset();
    EXPECT_FALSE(board.intx.level());
    EXPECT_EQ(controller->function().command(), 0);
    board.set_up(controller->function());
    EXPECT_EQ(disk.get(kPxCmd), cmd::kPowerOn | cmd::kSpinUp);
    EXPECT_EQ(disk.get(kSig), 0x101u);
}

}  // namespace
}  // namespace mynah
