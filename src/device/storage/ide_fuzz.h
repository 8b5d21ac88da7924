#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "device/storage/piix3_ide.h"
#include "device/storage/storage_medium_fuzz.h"
#include "spec/ata/commands.h"
#include "testing/pci_slot.h"

namespace mynah {

// A guest that writes anything to the ports of an IDE controller and to its region tables.
// Between its doings, after a reset, a transfer as a driver makes it must do what it says.
class IdeFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x100000, kTable = 0x1000, kData = 0x20000;
    static constexpr uint64_t kBusMaster = testing::PciSlotBoard::kIoBars + 0x400;

    IdeFuzzBoard() {
        controller_.attach_disk(0, 0, media_.disk, {});
        controller_.attach_cdrom(0, 1, {});
        board_.set_up(controller_.function());
    }

    void run(testing::ByteFeed& feed) {
        for (int step = 0; step < 400 && !feed.empty(); ++step) one_step(feed);
        transfer(feed);
        media_.calm();
        controller_.reset();
    }

  private:
    void one_step(testing::ByteFeed& feed) {
        switch (feed.take<uint8_t>() % 16) {
            case 0:
            case 1:
                out(feed.take<uint8_t>() % 8, feed.take<uint8_t>());
                break;
            case 2:
                in(feed.take<uint8_t>() % 8);
                break;
            case 3:
                board_.ports.write(0x3f6, 1, feed.take<uint8_t>());
                break;
            case 4:
                board_.ports.write(kBusMaster + feed.take<uint8_t>() % 16, 1, feed.take<uint8_t>());
                break;
            case 5:
                media_.step(feed);
                break;
            case 6:
                media_.scribble(feed, *board_.memory, kTable, 64);
                break;
            case 7:
                change_disc(feed);
                break;
            case 8:
                start_dma(feed);
                break;
            case 9:
                if (feed.take<uint8_t>() % 4 == 0) transfer(feed);
                break;
            case 10:
            case 11:
                move_words(feed);
                break;
            case 12:
                packet(feed);
                break;
            case 13:
                board_.ports.write(0x170 + feed.take<uint8_t>() % 8, 1, feed.take<uint8_t>());
                board_.ports.read(0x170 + feed.take<uint8_t>() % 8, 1);
                break;
            default:
                command(feed);
        }
    }

    uint8_t in(unsigned reg) { return static_cast<uint8_t>(board_.ports.read(0x1f0 + reg, 1)); }
    void out(unsigned reg, unsigned value) { board_.ports.write(0x1f0 + reg, 1, value); }

    void command(testing::ByteFeed& feed) {
        static constexpr uint8_t kCommands[] = {
            ata::kReadSectors,   ata::kWriteSectors,      ata::kReadMultiple,
            ata::kWriteMultiple, ata::kReadDma,           ata::kWriteDma,
            ata::kReadDmaExt,    ata::kIdentifyDevice,    ata::kIdentifyPacketDevice,
            ata::kSetMultiple,   ata::kDataSetManagement, ata::kSetFeatures,
            ata::kFlushCache,    ata::kExecuteDiagnostic, ata::kDeviceReset};
        const uint8_t choice = feed.take<uint8_t>();
        out(ide::kDevice, 0xe0 | (choice & ata::device::kSecond));
        out(ide::kFeatures, feed.take<uint8_t>() % 4);
        out(ide::kCount, feed.take<uint8_t>() % 24);
        out(ide::kLbaLow, feed.take<uint8_t>());
        out(ide::kLbaMid, choice % 8 == 0 ? feed.take<uint8_t>() : 0);
        out(ide::kLbaHigh, 0);
        out(ide::kCommand, kCommands[feed.take<uint8_t>() % std::size(kCommands)]);
    }
    void packet(testing::ByteFeed& feed) {
        out(ide::kDevice, 0xb0);
        out(ide::kFeatures, feed.take<uint8_t>() % 2);
        out(ide::kLbaMid, feed.take<uint8_t>());
        out(ide::kLbaHigh, feed.take<uint8_t>());
        out(ide::kCommand, ata::kPacket);
        for (unsigned i = 0; i < 6; ++i) board_.ports.write(0x1f0, 2, feed.take<uint16_t>());
    }
    void move_words(testing::ByteFeed& feed) {
        const unsigned words = feed.take<uint16_t>() % 3000, size = 1u << feed.take<uint8_t>() % 3;
        const bool write = (feed.take<uint8_t>() & 1) != 0;
        for (unsigned i = 0; i < words; ++i) {
            if (write) {
                board_.ports.write(0x1f0, size, i * 0x01030509);
            } else {
                board_.ports.read(0x1f0, size);
            }
        }
    }
    void start_dma(testing::ByteFeed& feed) {
        const unsigned count = feed.take<uint8_t>() % 4 + 1;
        for (unsigned i = 0; i < count; ++i) {
            const ide::Region region{
                feed.take<uint32_t>() % uint32_t{kRam + 0x800},
                feed.take<uint16_t>() % 5000u | (i + 1 == count ? ide::kRegionLast : 0)};
            CHECK(board_.memory->store(GuestPhys(kTable + i * sizeof region), region));
        }
        board_.ports.write(kBusMaster + ide::kBmTable, 4, kTable);
        board_.ports.write(kBusMaster, 1, feed.take<uint8_t>());
    }
    void change_disc(testing::ByteFeed& feed) {
        if ((feed.take<uint8_t>() & 1) != 0) {
            controller_.insert(0, 1, media_.disc);
        } else {
            media_.calm();  // eject() waits
            controller_.eject(0, 1, (feed.take<uint8_t>() & 1) != 0);
        }
    }

    // One transfer as it should be: by words or by bus master.
    void transfer(testing::ByteFeed& feed) {
        media_.calm();
        board_.ports.write(kBusMaster, 1, 0);
        board_.ports.write(0x3f6, 1, ata::control::kSoftReset);
        board_.ports.write(0x3f6, 1, 0);
        CHECK(in(ide::kStatus) == 0x50);
        out(ide::kFeatures, ata::set_features::kEnableWriteCache);
        out(ide::kDevice, 0xe0);
        const unsigned lba = feed.take<uint8_t>() % 136, count = feed.take<uint8_t>() % 12 + 1;
        const uint8_t choice = feed.take<uint8_t>();
        const bool write = (choice & 1) != 0, dma = (choice & 2) != 0;
        const bool fits = (lba + count) * 512 <= media_.kDisk;
        std::vector<uint8_t> bytes(count * size_t{512}, choice);
        if (write) CHECK(board_.memory->write(GuestPhys(kData), std::as_bytes(std::span(bytes))));
        if (dma) {
            const ide::Region region{kData, count * 512u | ide::kRegionLast};
            CHECK(board_.memory->store(GuestPhys(kTable), region));
            board_.ports.write(kBusMaster + ide::kBmTable, 4, kTable);
            board_.ports.write(kBusMaster + ide::kBmStatus, 1, 0x66);
        }
        out(ide::kCount, count);
        out(ide::kLbaLow, lba);
        out(ide::kLbaMid, 0);
        out(ide::kLbaHigh, 0);
        out(ide::kCommand, write ? (dma ? ata::kWriteDma : ata::kWriteSectors)
                                 : (dma ? ata::kReadDma : ata::kReadSectors));
        if (fits && dma) board_.ports.write(kBusMaster, 1, write ? 1 : 9);
        for (size_t at = 0; fits && !dma && at < bytes.size(); at += 2) {
            if (write) {
                board_.ports.write(0x1f0, 2, bytes[at] | bytes[at + 1] << 8);
            } else {
                const uint64_t word = board_.ports.read(0x1f0, 2);
                bytes[at] = static_cast<uint8_t>(word);
                bytes[at + 1] = static_cast<uint8_t>(word >> 8);
            }
        }
        CHECK(in(ide::kStatus) == (fits ? 0x50 : 0x51));
        if (!fits) return;
        if (dma && !write) {
            CHECK(board_.memory->read(GuestPhys(kData), std::as_writable_bytes(std::span(bytes))));
        }
        CHECK(media_.holds(lba * 512, bytes));
    }

    testing::PciSlotBoard board_{kRam};
    testing::StorageFuzzMedia media_;
    testing::RecordingLine irq14_, irq15_;
    Piix3Ide controller_{board_.attachment(), irq14_, irq15_};
};

}  // namespace mynah
