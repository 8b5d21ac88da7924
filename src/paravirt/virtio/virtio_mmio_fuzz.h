#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/mmio_registers.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"

namespace mynah {

// A guest that does anything: writes any register and any byte of its memory, in any order, while
// the disk answers early or late. For the fuzz target and for its replay in tests.
class VirtioMmioFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x10000;
    static constexpr uint64_t kDisk = 0x8000;

    void run(testing::ByteFeed& feed) {
        while (!feed.empty()) step(feed);
        disk_.hold(false);
        disk_.release_all();
        // Whatever happened, a reset must bring the device back.
        mmio_.write(virtio::mmio::kStatus, 4, 0);
        CHECK(mmio_.read(virtio::mmio::kStatus, 4) == 0);
        CHECK(mmio_.read(virtio::mmio::kInterruptStatus, 4) == 0);
        CHECK(!line_.level());
        CHECK(disk_.bytes().size() == kDisk);
    }

  private:
    void step(testing::ByteFeed& feed) {
        using namespace virtio::mmio;
        switch (feed.take<uint8_t>() % 10) {
            case 0:
                write_any(feed);
                break;
            case 1: {
                const unsigned size = 1u << (feed.take<uint8_t>() % 4);
                mmio_.read(feed.take<uint16_t>() % (kRegionSize - size + 1), size);
                break;
            }
            case 2:
                poke(feed);
                break;
            case 3:
                set_up(feed);
                break;
            case 4:
                mmio_.write(kQueueNotify, 4, feed.take<uint8_t>() % 4);
                break;
            case 5:
                disk_.hold((feed.take<uint8_t>() & 1) != 0);
                break;
            case 6:
                disk_.release_one();
                break;
            case 7:
                add_chain(feed);
                break;
            case 8:
                mmio_.write(kInterruptAck, 4, feed.take<uint8_t>());
                break;
            case 9:
                write_status(feed.take<uint8_t>());
                break;
        }
        CHECK(line_.level() == (mmio_.read(kInterruptStatus, 4) != 0));
    }

    void write_any(testing::ByteFeed& feed) {
        using namespace virtio::mmio;
        const unsigned size = 1u << (feed.take<uint8_t>() % 4);
        const uint64_t offset = feed.take<uint16_t>() % (kRegionSize - size + 1);
        if (offset == kStatus)
            write_status(feed.take<uint32_t>());
        else if (offset == kQueueReady || offset == kQueueReset)
            release_then_write(feed, offset);
        else
            mmio_.write(offset, size, feed.take<uint64_t>());
    }
    // A reset waits for what is in flight, and here nobody else would end it.
    void write_status(uint32_t value) {
        if ((value & 0xff) == 0) disk_.release_all();
        mmio_.write(virtio::mmio::kStatus, 4, value);
    }
    void release_then_write(testing::ByteFeed& feed, uint64_t offset) {
        disk_.release_all();
        mmio_.write(offset, 4, feed.take<uint32_t>());
    }

    void poke(testing::ByteFeed& feed) {
        const uint64_t at = feed.take<uint16_t>();
        const auto bytes = feed.take_bytes(feed.take<uint8_t>() % 64 + size_t{1});
        if (!memory_->write(GuestPhys{at}, std::as_bytes(bytes))) return;
    }

    // To DRIVER_OK with two queues at places the feed chooses, mostly good ones.
    void set_up(testing::ByteFeed& feed) {
        using namespace virtio::mmio;
        write_status(0);
        write_status(3);
        for (uint32_t half = 0; half < 2; ++half) {
            mmio_.write(kDeviceFeaturesSel, 4, half);
            mmio_.write(kDriverFeaturesSel, 4, half);
            const uint64_t offered = mmio_.read(kDeviceFeatures, 4);
            mmio_.write(kDriverFeatures, 4, offered & ~(uint64_t{feed.take<uint8_t>()} << 22));
        }
        write_status(11);
        for (uint32_t queue = 0; queue < 2; ++queue) {
            const uint64_t odd = feed.take<uint8_t>();
            const uint64_t base = queue * uint64_t{0x4000} + (odd < 240 ? 0 : odd % 16);
            mmio_.write(kQueueSel, 4, queue);
            mmio_.write(kQueueNum, 4, uint64_t{1} << (feed.take<uint8_t>() % 10));
            mmio_.write(kQueueDescLow, 4, base);
            mmio_.write(kQueueDriverLow, 4, base + 0x1000);
            mmio_.write(kQueueDeviceLow, 4, base + 0x2000);
            mmio_.write(kQueueReady, 4, 1);
        }
        write_status(15);
    }

    // One request in queue 0 or 1: header, data, status, of which the feed spoils what it likes.
    void add_chain(testing::ByteFeed& feed) {
        using namespace virtio;
        const uint64_t base = (feed.take<uint8_t>() & 1) * uint64_t{0x4000};
        const block::RequestHeader header{feed.take<uint8_t>() % 15u, 0,
                                          feed.take<uint8_t>() % 70u};
        const auto place = GuestPhys{0x8000 + feed.take<uint8_t>() * uint64_t{64}};
        CHECK(memory_->store(place, header));
        const uint16_t writable = header.type % 8 == 0 ? kDescWrite : 0;
        const uint32_t length = feed.take<uint8_t>() % 12 * 256;
        add_descriptor(feed, base, 0, {place.value, 16, kDescNext, 1});
        add_descriptor(feed, base, 1,
                       {place.value + 16, length, static_cast<uint16_t>(kDescNext | writable), 2});
        add_descriptor(feed, base, 2, {place.value + 0x2000, 1, kDescWrite, 0});
        const uint16_t index = memory_->load<uint16_t>(GuestPhys{base + 0x1002}).value();
        CHECK(memory_->store<uint16_t>(GuestPhys{base + 0x1002}, static_cast<uint16_t>(index + 1)));
        mmio_.write(mmio::kQueueNotify, 4, base != 0 ? 1 : 0);
    }
    void add_descriptor(testing::ByteFeed& feed, uint64_t base, uint64_t index,
                        virtio::Descriptor entry) {
        switch (feed.take<uint8_t>()) {
            case 1:
                entry.address = feed.take<uint64_t>();
                break;
            case 2:
                entry.length = feed.take<uint32_t>();
                break;
            case 3:
                entry.flags = feed.take<uint16_t>();
                break;
            case 4:
                entry.next = feed.take<uint16_t>();
                break;
            case 5:
                entry = {base, 48, virtio::kDescIndirect, 0};
                break;
            default:
                break;
        }
        CHECK(memory_->store(GuestPhys{base + 16 * index}, entry));
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::MemoryDisk disk_{kDisk};
    VirtioBlock block_{disk_, {2, "fuzz", true}};
    VirtioMmio mmio_{block_, view_, line_};
};

}  // namespace mynah
