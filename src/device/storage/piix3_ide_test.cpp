#include "device/storage/piix3_ide.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "spec/ata/commands.h"
#include "spec/scsi/commands.h"
#include "testing/memory_disk.h"
#include "testing/pci_slot.h"

namespace mynah {
namespace {

using namespace ide;

constexpr uint64_t kBusMaster = testing::PciSlotBoard::kIoBars + 0x400;
constexpr uint64_t kTable = 0x1000, kMemory = 0x100000;

class Piix3IdeTest : public ::testing::Test {
  protected:
    Piix3IdeTest() {
        for (size_t i = 0; i < medium.bytes().size(); ++i) {
            medium.bytes()[i] = static_cast<std::byte>(i / 512 * 3 + i);
        }
        for (size_t i = 0; i < disc.bytes().size(); ++i) {
            disc.bytes()[i] = static_cast<std::byte>(i / 2048 + i * 7);
        }
        controller->attach_disk(0, 0, medium, {});
        controller->attach_cdrom(0, 1, {});
        board.set_up(controller->function());
    }
    // Ports of the first channel, as a driver sees them.
    uint8_t in(unsigned reg) { return static_cast<uint8_t>(board.ports.read(0x1f0 + reg, 1)); }
    void out(unsigned reg, unsigned value) { board.ports.write(0x1f0 + reg, 1, value); }
    uint8_t alternate() { return static_cast<uint8_t>(board.ports.read(0x3f6, 1)); }
    void control(uint8_t value) { board.ports.write(0x3f6, 1, value); }
    uint8_t bm(unsigned reg) { return static_cast<uint8_t>(board.ports.read(kBusMaster + reg, 1)); }
    void set_bm(unsigned reg, unsigned size, uint32_t value) {
        board.ports.write(kBusMaster + reg, size, value);
    }

    void command28(uint8_t code, uint32_t lba, uint8_t count) {
        out(kDevice, 0xe0 | (lba >> 24 & 0xf));
        out(kCount, count);
        out(kLbaLow, lba & 0xff);
        out(kLbaMid, lba >> 8 & 0xff);
        out(kLbaHigh, lba >> 16 & 0xff);
        out(kCommand, code);
    }
    void command48(uint8_t code, uint64_t lba, uint16_t count) {
        out(kDevice, 0xe0);
        out(kCount, count >> 8);
        out(kLbaLow, lba >> 24 & 0xff);
        out(kLbaMid, lba >> 32 & 0xff);
        out(kLbaHigh, lba >> 40 & 0xff);
        command28(code, static_cast<uint32_t>(lba & 0xffffff), static_cast<uint8_t>(count));
    }
    std::vector<uint8_t> read_words(size_t bytes, unsigned size = 2) {
        std::vector<uint8_t> result;
        for (size_t at = 0; at < bytes; at += size) {
            const uint64_t value = board.ports.read(0x1f0, size);
            for (unsigned i = 0; i < size; ++i) {
                result.push_back(static_cast<uint8_t>(value >> (8 * i)));
            }
        }
        return result;
    }
    void write_words(const std::vector<uint8_t>& bytes) {
        for (size_t at = 0; at < bytes.size(); at += 2) {
            board.ports.write(0x1f0, 2, bytes[at] | bytes[at + 1] << 8);
        }
    }
    void packet(std::vector<uint8_t> cdb, uint16_t limit, bool dma = false) {
        cdb.resize(12);
        out(kDevice, 0xb0);
        out(kFeatures, dma ? 1 : 0);
        out(kLbaMid, limit & 0xff);
        out(kLbaHigh, limit >> 8);
        out(kCommand, ata::kPacket);
        EXPECT_EQ(alternate() & 0x88, 0x08);
        EXPECT_EQ(in(kCount), 1);
        write_words(cdb);
    }
    void put_disc_in() {
        EXPECT_TRUE(controller->insert(0, 1, disc));
        packet({scsi::kTestUnitReady}, 0);
        EXPECT_EQ(in(kStatus)&1, 1);
        EXPECT_EQ(in(kError) >> 4, 6);
    }
    void regions(std::initializer_list<Region> list) {
        uint64_t at = kTable;
        for (const Region& region : list) {
            ASSERT_TRUE(board.memory->store(GuestPhys(at), region));
            at += sizeof(Region);
        }
        set_bm(kBmTable, 4, kTable);
        set_bm(kBmStatus, 1, bm_status::kInterrupt | bm_status::kError | 0x60);
    }
    std::vector<uint8_t> memory(uint64_t address, size_t size) {
        std::vector<uint8_t> bytes(size);
        EXPECT_TRUE(
            board.memory->read(GuestPhys(address), std::as_writable_bytes(std::span(bytes))));
        return bytes;
    }
    bool on(testing::MemoryDisk& where, uint64_t offset, const std::vector<uint8_t>& bytes) {
        return std::memcmp(where.bytes().data() + offset, bytes.data(), bytes.size()) == 0;
    }

    testing::PciSlotBoard board{0x800000};
    testing::RecordingLine irq14, irq15;
    testing::MemoryDisk medium{0x400000};
    testing::MemoryDisk disc{2048 * 100};
    std::unique_ptr<Piix3Ide> controller =
        std::make_unique<Piix3Ide>(board.attachment(), irq14, irq15);
};

TEST_F(Piix3IdeTest, SignaturesAfterPowerOn) {
    EXPECT_EQ(controller->function().config_read(0, 4), 0x70108086u);
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_EQ(in(kError), 1);
    EXPECT_EQ(in(kCount), 1);
    EXPECT_EQ(in(kLbaLow), 1);
    EXPECT_EQ(in(kLbaHigh), 0);
    // The second device reads the same registers until it has its own to show.
    out(kDevice, 0x10);
    EXPECT_EQ(in(kStatus), 0);
    EXPECT_EQ(in(kDevice), 0x10);
    EXPECT_EQ(board.ports.read(0x177, 1), 0x7fu);  // an empty channel
    EXPECT_EQ(board.ports.read(0x376, 1), 0x7fu);
}

TEST_F(Piix3IdeTest, DecodingFollowsCommandRegisterAndTiming) {
    PciFunction& function = controller->function();
    function.config_write(kTiming, 2, 0);
    EXPECT_EQ(board.ports.read(0x1f7, 1), 0xffu);
    EXPECT_EQ(board.ports.read(0x177, 1), 0x7fu);
    function.config_write(kTiming, 2, kTimingDecode);
    EXPECT_EQ(board.ports.read(0x1f7, 1), 0x50u);
    function.config_write(4, 2, 0);
    EXPECT_EQ(board.ports.read(0x1f7, 1), 0xffu);
    EXPECT_EQ(board.ports.read(0x376, 1), 0xffu);
}

TEST_F(Piix3IdeTest, RegistersRemember) {
    out(kCount, 0x12);
    out(kCount, 0x34);
    EXPECT_EQ(in(kCount), 0x34);
    control(ata::control::kHighOrderByte);
    EXPECT_EQ(in(kCount), 0x12);
    out(kLbaLow, 0x55);
    EXPECT_EQ(in(kCount), 0x34);
    EXPECT_EQ(in(kLbaLow), 0x55);
}

TEST_F(Piix3IdeTest, PioReadInterruptsForEachBlock) {
    command28(ata::kReadSectors, 10, 3);
    std::vector<uint8_t> all;
    for (unsigned block = 0; block < 3; ++block) {
        EXPECT_EQ(irq14.rises(), block + 1);
        EXPECT_TRUE(irq14.level());
        EXPECT_EQ(in(kStatus), 0x58);
        EXPECT_FALSE(irq14.level());
        const auto bytes = read_words(512, block == 1 ? 4 : 2);
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    EXPECT_EQ(irq14.rises(), 3u);
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_TRUE(on(medium, 10 * 512, all));
    EXPECT_EQ(board.ports.read(0x1f0, 2), 0u);  // there is no more
}

TEST_F(Piix3IdeTest, LargePioTransfersAreCutIntoChunks) {
    out(kCount, 16);
    out(kDevice, 0xe0);
    out(kCommand, ata::kSetMultiple);
    command48(ata::kReadMultipleExt, 1, 300);
    std::vector<uint8_t> all;
    for (unsigned left = 300; left > 0;) {
        const unsigned now = std::min(left, 16u);
        ASSERT_EQ(in(kStatus), 0x58);
        const auto bytes = read_words(now * 512);
        all.insert(all.end(), bytes.begin(), bytes.end());
        left -= now;
    }
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_TRUE(on(medium, 512, all));
    EXPECT_EQ(medium.records().size(), 3u);

    command48(ata::kWriteMultipleExt, 1000, 300);
    for (size_t at = 0; at < all.size(); at += 16 * 512) {
        ASSERT_EQ(in(kStatus), 0x58);
        const size_t end = std::min(all.size(), at + 16 * 512);
        write_words(
            {all.begin() + static_cast<ptrdiff_t>(at), all.begin() + static_cast<ptrdiff_t>(end)});
    }
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_TRUE(on(medium, 1000 * 512, all));
}

TEST_F(Piix3IdeTest, PioWriteInterruptsAfterEachBlock) {
    command28(ata::kWriteSectors, 5, 2);
    EXPECT_EQ(irq14.rises(), 0u);
    EXPECT_EQ(alternate(), 0x58);
    write_words(std::vector<uint8_t>(512, 0x11));
    EXPECT_EQ(irq14.rises(), 1u);
    EXPECT_EQ(in(kStatus), 0x58);
    write_words(std::vector<uint8_t>(512, 0x22));
    EXPECT_EQ(irq14.rises(), 2u);
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_TRUE(on(medium, 5 * 512, std::vector<uint8_t>(512, 0x11)));
    EXPECT_TRUE(on(medium, 6 * 512, std::vector<uint8_t>(512, 0x22)));
}

TEST_F(Piix3IdeTest, InterruptsCanBeTurnedOff) {
    control(ata::control::kNoInterrupt);
    command28(ata::kIdentifyDevice, 0, 0);
    EXPECT_FALSE(irq14.level());
    EXPECT_EQ(bm(kBmStatus) & bm_status::kInterrupt, 0);
    control(0);
    EXPECT_TRUE(irq14.level());
    EXPECT_EQ(alternate(), 0x58);
    EXPECT_TRUE(irq14.level());  // the alternate status does not acknowledge
    EXPECT_EQ(read_words(512)[0], 0x40);
    in(kStatus);
    EXPECT_FALSE(irq14.level());
}

TEST_F(Piix3IdeTest, BusMasterReads) {
    regions({{kMemory, 512}, {kMemory + 0x1000, 512 | kRegionLast}});
    command28(ata::kReadDma, 20, 2);
    EXPECT_EQ(irq14.rises(), 0u);
    set_bm(kBmCommand, 1, bm_command::kStart | bm_command::kToMemory);
    EXPECT_EQ(irq14.rises(), 1u);
    EXPECT_EQ(bm(kBmStatus), 0x64);  // not active, interrupt
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_TRUE(on(medium, 20 * 512, memory(kMemory, 512)));
    EXPECT_TRUE(on(medium, 21 * 512, memory(kMemory + 0x1000, 512)));
    set_bm(kBmCommand, 1, 0);
    set_bm(kBmStatus, 1, 0x64);
    EXPECT_EQ(bm(kBmStatus), 0x60);
}

TEST_F(Piix3IdeTest, BusMasterWritesAlsoWhenStartedFirst) {
    ASSERT_TRUE(board.memory->fill(GuestPhys(kMemory), std::byte{0x99}, 0x10000));
    regions({{kMemory, 0 | kRegionLast}});  // 64 KiB
    set_bm(kBmCommand, 1, bm_command::kStart);
    command48(ata::kWriteDmaExt, 30, 127);
    EXPECT_EQ(bm(kBmStatus), 0x64);
    EXPECT_TRUE(on(medium, 30 * 512, std::vector<uint8_t>(127 * 512, 0x99)));
    EXPECT_FALSE(on(medium, 157 * 512, std::vector<uint8_t>(512, 0x99)));
}

TEST_F(Piix3IdeTest, BadRegionsEndTheCommand) {
    regions({{kMemory, 512 | kRegionLast}});
    command28(ata::kReadDma, 0, 2);
    set_bm(kBmCommand, 1, bm_command::kStart | bm_command::kToMemory);
    EXPECT_EQ(bm(kBmStatus), 0x66);
    EXPECT_EQ(in(kStatus)&1, 1);
    set_bm(kBmCommand, 1, 0);
    regions({{0xfffff000, 1024 | kRegionLast}});
    command28(ata::kReadDma, 0, 2);
    set_bm(kBmCommand, 1, bm_command::kStart | bm_command::kToMemory);
    EXPECT_EQ(bm(kBmStatus), 0x66);
    EXPECT_TRUE(medium.records().empty());
}

TEST_F(Piix3IdeTest, BusyWhileTheBackEndWorks) {
    medium.hold(true);
    command28(ata::kReadSectors, 1, 1);
    EXPECT_EQ(alternate(), 0x80);
    out(kLbaLow, 0x77);  // ignored
    EXPECT_TRUE(medium.release_one());
    EXPECT_EQ(alternate(), 0x58);
    EXPECT_EQ(in(kLbaLow), 1);
    // A reset lasts until what is away is back.
    read_words(512);
    command28(ata::kReadSectors, 1, 1);
    control(ata::control::kSoftReset);
    EXPECT_EQ(alternate(), 0x80);
    control(0);
    EXPECT_EQ(alternate(), 0x80);
    EXPECT_TRUE(medium.release_one());
    EXPECT_EQ(alternate(), 0x50);
    EXPECT_FALSE(irq14.level());
    medium.hold(false);
    command28(ata::kReadSectors, 2, 1);
    EXPECT_TRUE(on(medium, 1024, read_words(512)));
}

TEST_F(Piix3IdeTest, SoftResetShowsTheFirstDevice) {
    out(kDevice, 0x10);
    control(ata::control::kSoftReset);
    EXPECT_EQ(alternate(), 0x80);
    control(0);
    EXPECT_EQ(in(kDevice), 0);
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_EQ(in(kError), 1);
}

TEST_F(Piix3IdeTest, ErrorsAreShownAndInterrupt) {
    command28(ata::kReadSectors, 0xffffff, 1);
    EXPECT_EQ(irq14.rises(), 1u);
    EXPECT_EQ(in(kStatus), 0x51);
    EXPECT_EQ(in(kError), ata::error::kIdNotFound);
    medium.fail_with(BlockStatus::kIoError);
    command28(ata::kReadSectors, 0, 1);
    EXPECT_EQ(in(kError), ata::error::kUncorrectable);
    command28(ata::kFlushCache, 0, 0);
    EXPECT_EQ(in(kStatus)&0x21, 0x21);
}

TEST_F(Piix3IdeTest, PacketDeviceIsRecognized) {
    out(kDevice, 0xb0);
    out(kCommand, ata::kIdentifyDevice);
    EXPECT_EQ(in(kStatus)&1, 1);
    EXPECT_EQ(in(kLbaMid), 0x14);
    EXPECT_EQ(in(kLbaHigh), 0xeb);
    const uint32_t before = irq14.rises();
    out(kCommand, ata::kIdentifyPacketDevice);
    EXPECT_EQ(irq14.rises(), before + 1);
    EXPECT_EQ(in(kStatus), 0x58);
    EXPECT_EQ(read_words(512)[1], 0x85);
    EXPECT_EQ(irq14.rises(), before + 1);
    EXPECT_EQ(in(kStatus), 0x50);
    out(kCommand, ata::kDeviceReset);
    EXPECT_EQ(in(kLbaHigh), 0xeb);
    EXPECT_EQ(in(kStatus), 0);
}

TEST_F(Piix3IdeTest, PacketsReadByPioInPiecesOfTheHostsSize) {
    put_disc_in();
    const uint32_t before = irq14.rises();
    packet({scsi::kRead10, 0, 0, 0, 0, 3, 0, 0, 2}, 2048);
    std::vector<uint8_t> all;
    for (unsigned piece = 0; piece < 2; ++piece) {
        EXPECT_EQ(in(kStatus)&0x88, 0x08);
        EXPECT_EQ(in(kCount)&3, 2);
        EXPECT_EQ(in(kLbaMid) | in(kLbaHigh) << 8, 2048);
        const auto bytes = read_words(2048);
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    EXPECT_EQ(irq14.rises(), before + 3);  // two pieces and the end
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_EQ(in(kCount)&3, 3);
    EXPECT_TRUE(on(disc, 3 * 2048, all));
    packet({scsi::kInquiry, 0, 0, 0, 5}, 0xfffe);
    EXPECT_EQ(in(kLbaMid) | in(kLbaHigh) << 8, 5);  // odd
    EXPECT_EQ(read_words(6)[0], 5);
    EXPECT_EQ(in(kStatus), 0x50);
    // More than the buffer holds, with a limit that divides nothing.
    packet({scsi::kRead10, 0, 0, 0, 0, 0, 0, 0, 64}, 0xfffe);
    all.clear();
    while ((in(kStatus)&0x08) != 0) {
        const auto bytes = read_words(static_cast<size_t>(in(kLbaMid) | in(kLbaHigh) << 8));
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    EXPECT_EQ(all.size(), 64u * 2048);
    EXPECT_TRUE(on(disc, 0, all));
}

TEST_F(Piix3IdeTest, PacketsReadByDma) {
    put_disc_in();
    regions({{kMemory, 4096 | kRegionLast}});
    packet({scsi::kRead12, 0, 0, 0, 0, 9, 0, 0, 0, 2}, 0, true);
    set_bm(kBmCommand, 1, bm_command::kStart | bm_command::kToMemory);
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_EQ(in(kCount)&3, 3);
    EXPECT_TRUE(on(disc, 9 * 2048, memory(kMemory, 4096)));
    EXPECT_TRUE(controller->eject(0, 1, false));
    packet({scsi::kRead12, 0, 0, 0, 0, 9, 0, 0, 0, 2}, 0, true);
    EXPECT_EQ(in(kStatus)&1, 1);
    EXPECT_EQ(in(kError) >> 4, 2);
}

TEST_F(Piix3IdeTest, SelectingTheOtherDeviceInTheMiddleHarmsNobody) {
    put_disc_in();
    command28(ata::kReadSectors, 0, 2);
    read_words(100);
    out(kDevice, 0x10);
    EXPECT_EQ(board.ports.read(0x1f0, 2), 0u);
    out(kDevice, 0xe0);
    read_words(412);
    EXPECT_EQ(in(kStatus), 0x58);
    EXPECT_TRUE(on(medium, 512, read_words(512)));
}

TEST_F(Piix3IdeTest, TheBoardsReset) {
    command28(ata::kReadSectors, 0, 2);
    controller->reset();
    EXPECT_FALSE(irq14.level());
    EXPECT_EQ(board.ports.read(0x1f7, 1), 0xffu);
    board.set_up(controller->function());
    EXPECT_EQ(in(kStatus), 0x50);
    EXPECT_EQ(bm(kBmStatus), 0x60);
}

}  // namespace
}  // namespace mynah
