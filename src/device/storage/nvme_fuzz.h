#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "device/storage/nvme_driver_test.h"
#include "device/storage/storage_medium_fuzz.h"

namespace mynah {

// A guest that puts anything into an NVMe controller's registers, queues and lists. Between its
// doings, after a reset, a transfer as a driver makes it must do what it says; in the end the
// controller can always be disabled.
class NvmeFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x200000;

    NvmeFuzzBoard() { board_.set_up(controller_.function()); }

    void run(testing::ByteFeed& feed) {
        start();
        for (int step = 0; step < 300 && !feed.empty(); ++step) one_step(feed);
        transfer(feed);
        media_.calm();
        driver_.disable();
        CHECK(driver_.get(nvme::kCsts) == 0);
        controller_.reset();
    }

  private:
    using Driver = testing::NvmeDriver;

    void start() {
        driver_.enable();
        for (unsigned queue = 1; queue <= 2; ++queue) {
            driver_.create_queues(queue, static_cast<uint16_t>(queue));
        }
    }

    void one_step(testing::ByteFeed& feed) {
        const unsigned queue = feed.take<uint8_t>() % 3;
        switch (feed.take<uint8_t>() % 16) {
            case 0:
                driver_.set(feed.take<uint8_t>() & 0x3c, feed.take<uint32_t>());
                break;
            case 1:
                driver_.set(nvme::kDoorbells + feed.take<uint8_t>() % 32 * 4, feed.take<uint8_t>());
                break;
            case 2:
                media_.step(feed);
                break;
            case 3:
                media_.scribble(feed, *board_.memory, Driver::kQueues, 0x6000);
                break;
            case 4:
                media_.scribble(feed, *board_.memory, Driver::kData, 0x1000);
                break;
            case 5:
                if (feed.take<uint8_t>() % 4 == 0) start();
                break;
            case 6:
                if (feed.take<uint8_t>() % 4 == 0) transfer(feed);
                break;
            case 7:
                driver_.get(feed.take<uint8_t>() & 0x38, 8);
                break;
            case 8:
            case 9:
                for (unsigned i = feed.take<uint8_t>() % 8; i > 0 && driver_.take(queue); --i) {
                }
                break;
            default:
                command(feed, queue);
                if (feed.take<uint8_t>() % 4 != 0) driver_.ring(queue);
        }
    }

    void command(testing::ByteFeed& feed, unsigned queue) {
        nvme::Submission command{};
        const uint8_t choice = feed.take<uint8_t>();
        command.opcode = choice < 240 ? choice % 13 : choice;
        command.nsid = choice % 16 != 0 ? 1 : feed.take<uint32_t>();
        command.prp1 = address(feed);
        command.prp2 = address(feed);
        command.cdw10 = choice % 8 != 0 ? feed.take<uint8_t>() : feed.take<uint32_t>();
        command.cdw11 = choice % 8 != 1 ? feed.take<uint8_t>() % 8u : feed.take<uint32_t>();
        command.cdw12 = choice % 8 != 2 ? feed.take<uint8_t>() % 64u : feed.take<uint32_t>();
        if (queue == 0 && choice % 2 != 0) {
            command.cdw10 |= 15u << 16;
            command.cdw11 |= (feed.take<uint8_t>() % 4u) << 16;
        } else if (queue != 0 && choice % 8 > 2) {
            command.cdw11 = command.opcode == nvme::io::kDatasetManagement ? 4 : 0;
        }
        driver_.add(queue, command);
    }
    // Mostly where data are, as lists of themselves.
    static uint64_t address(testing::ByteFeed& feed) {
        const uint8_t choice = feed.take<uint8_t>();
        if (choice < 200) return Driver::kData + choice % 64 * 0x1000;
        return feed.take<uint32_t>() % (kRam + 0x1000);
    }

    // One transfer as it should be, through a list of pages.
    void transfer(testing::ByteFeed& feed) {
        media_.calm();
        board_.set_up(controller_.function());
        driver_.disable();
        CHECK(driver_.get(nvme::kCsts) == 0);
        start();
        CHECK(driver_.ready());
        const uint64_t lba = feed.take<uint8_t>() % 136;
        const uint32_t count = feed.take<uint8_t>() % 40 + 1;
        const bool write = (feed.take<uint8_t>() & 1) != 0;
        const uint64_t offset = feed.take<uint8_t>() * 4u;
        constexpr uint64_t kList = 0x8000, kPages = 0x180000;
        const uint64_t size = count * uint64_t{512};
        for (uint64_t i = 0; i < 6; ++i) {
            CHECK(board_.memory->store(GuestPhys(kList + i * 8), kPages + (i + 1) * 0x1000));
        }
        std::vector<uint8_t> bytes(size, feed.take<uint8_t>());
        if (write) {
            CHECK(
                board_.memory->write(GuestPhys(kPages + offset), std::as_bytes(std::span(bytes))));
        }
        const bool two = offset + size <= 2 * nvme::kPage;
        const uint16_t status =
            driver_.run(1, Driver::transfer(write ? nvme::io::kWrite : nvme::io::kRead, lba, count,
                                            kPages + offset, two ? kPages + 0x1000 : kList));
        const bool fits = (lba + count) * 512 <= media_.kDisk;
        CHECK(status == (fits ? nvme::status::kSuccess : nvme::status::kLbaOutOfRange));
        if (!fits) return;
        CHECK(media_.holds(lba * 512, driver_.bytes(kPages + offset, size)));
        if (write) CHECK(media_.holds(lba * 512, bytes));
    }

    testing::PciSlotBoard board_{kRam};
    testing::StorageFuzzMedia media_;
    NvmeController controller_{board_.attachment(), media_.disk, {3, "fuzz", "FUZZ", "1", 0}};
    Driver driver_{board_};
};

}  // namespace mynah
