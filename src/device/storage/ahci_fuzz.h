#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "device/storage/ahci_driver_test.h"
#include "device/storage/storage_medium_fuzz.h"
#include "spec/ata/commands.h"

namespace mynah {

// A guest that writes anything to an AHCI controller's registers and structures. Between its
// doings, after a reset of the adapter, a transfer as a driver makes it must do exactly what it
// says; in the end nothing may be stuck.
class AhciFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x200000;

    AhciFuzzBoard() {
        controller_.attach_disk(0, media_.disk, {"fuzz", "FUZZ", "1", 0, true});
        controller_.attach_cdrom(1, {});
        board_.set_up(controller_.function());
    }

    void run(testing::ByteFeed& feed) {
        for (int step = 0; step < 300 && !feed.empty(); ++step) one_step(feed);
        transfer(feed);
        media_.calm();
        for (testing::AhciDriver& driver : drivers_) {
            driver.stop();
            CHECK((driver.get(ahci::kPxCmd) & ahci::cmd::kListRunning) == 0);
        }
        controller_.reset();
    }

  private:
    using Driver = testing::AhciDriver;

    void one_step(testing::ByteFeed& feed) {
        Driver& driver = drivers_[feed.take<uint8_t>() % 2];
        switch (feed.take<uint8_t>() % 16) {
            case 0:
                driver.start();
                break;
            case 1:
            case 2:
                driver.set(feed.take<uint8_t>() & 0x7c, feed.take<uint32_t>());
                break;
            case 3:
                driver.get(feed.take<uint8_t>() & 0x7c);
                driver.global(feed.take<uint8_t>() & 0x3c);
                break;
            case 4:
                driver.set_global(feed.take<uint8_t>() & 0x3c, feed.take<uint32_t>());
                break;
            case 5:
                media_.step(feed);
                break;
            case 6:
                media_.scribble(feed, *board_.memory, Driver::kList, 0x2000);
                break;
            case 7:
                media_.scribble(feed, *board_.memory, Driver::kTables, 0x20000);
                break;
            case 8:
                change_disc(feed);
                break;
            case 9:
                control(feed, driver);
                break;
            case 10:
                if (feed.take<uint8_t>() % 4 == 0) transfer(feed);
                break;
            default:
                command(feed, driver);
        }
    }

    // A command whose every part may be wrong.
    void command(testing::ByteFeed& feed, Driver& driver) {
        static constexpr uint8_t kCommands[] = {
            ata::kReadDmaExt,     ata::kWriteDmaExt, ata::kReadFpdmaQueued, ata::kWriteFpdmaQueued,
            ata::kIdentifyDevice, ata::kPacket,      ata::kFlushCacheExt,   ata::kDataSetManagement,
            ata::kReadLogExt,     ata::kSetFeatures, ata::kReadSectors,     ata::kSmart};
        const uint8_t choice = feed.take<uint8_t>();
        const unsigned slot = feed.take<uint8_t>() % 32;
        Driver::Request request;
        request.taskfile.command =
            choice < 240 ? kCommands[choice % std::size(kCommands)] : feed.take<uint8_t>();
        request.taskfile.device = 0x40;
        request.taskfile.features = feed.take<uint16_t>() % 20;
        request.taskfile.count =
            static_cast<uint16_t>(choice % 2 == 0 ? slot << 3 : feed.take<uint16_t>() % 12);
        request.taskfile.lba = feed.take<uint8_t>();
        if (request.taskfile.command == ata::kSmart) request.taskfile.lba |= 0xc24f00;
        const unsigned buffers = feed.take<uint8_t>() % 6;
        for (unsigned i = 0; i < buffers; ++i) {
            request.buffers.push_back(
                {feed.take<uint32_t>() % (kRam + 0x1000), feed.take<uint16_t>() % 5000u + 1});
        }
        if (request.taskfile.command == ata::kPacket) {
            const auto packet = feed.take_bytes(12);
            request.packet.assign(packet.begin(), packet.end());
        }
        driver.prepare(slot, request);
        if (choice % 3 != 0) driver.issue_queued(slot);
        driver.issue(slot);
    }

    void control(testing::ByteFeed& feed, Driver& driver) {
        driver.prepare(3, {}, feed.take<uint8_t>() & 4, false);
        driver.issue(3);
    }

    void change_disc(testing::ByteFeed& feed) {
        if ((feed.take<uint8_t>() & 1) != 0) {
            controller_.insert(1, media_.disc);
        } else {
            media_.calm();  // eject() waits
            controller_.eject(1, (feed.take<uint8_t>() & 1) != 0);
        }
    }

    // One transfer as it should be.
    void transfer(testing::ByteFeed& feed) {
        Driver& driver = drivers_[0];
        media_.calm();
        board_.set_up(controller_.function());
        driver.set_global(ahci::kGhc, ahci::ghc::kReset);
        CHECK((driver.global(ahci::kGhc) & ahci::ghc::kReset) == 0);
        driver.start();
        const uint64_t lba = feed.take<uint8_t>() % 136;
        const uint16_t count = feed.take<uint8_t>() % 12 + 1;
        const bool write = (feed.take<uint8_t>() & 1) != 0;
        Driver::Request request;
        request.taskfile = {write ? ata::kWriteDmaExt : ata::kReadDmaExt, 0x40, 0, count, lba};
        request.write = write;
        std::vector<uint8_t> expected(count * size_t{512});
        if (write) {
            const auto some = feed.take_bytes(64);
            for (size_t i = 0; i < expected.size() && !some.empty(); ++i) {
                expected[i] = static_cast<uint8_t>(some[i % some.size()] + i);
            }
            CHECK(
                board_.memory->write(GuestPhys(Driver::kData), std::as_bytes(std::span(expected))));
        }
        for (uint32_t at = 0; at < expected.size();) {
            const auto left = static_cast<uint32_t>(expected.size()) - at;
            const uint32_t part = std::min(left, (feed.take<uint8_t>() + 1u) * 64);
            request.buffers.push_back({Driver::kData + at, part});
            at += part;
        }
        driver.run(request);
        const bool fits = (lba + count) * 512 <= media_.kDisk;
        CHECK((driver.get(ahci::kTfd) & 0x81) == (fits ? 0u : 1u));
        if (!fits) return;
        CHECK(driver.get(ahci::kCi) == 0 && driver.moved(0) == expected.size());
        const auto memory = driver.bytes(Driver::kData, expected.size());
        CHECK(media_.holds(lba * 512, memory));
        if (write) CHECK(memory == expected);
    }

    testing::PciSlotBoard board_{kRam};
    testing::StorageFuzzMedia media_;
    AhciController controller_{board_.attachment(), {}};
    Driver drivers_[2] = {{board_, 0}, {board_, 1}};
};

}  // namespace mynah
