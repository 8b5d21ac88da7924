#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/mmio_registers.h"
#include "spec/virtio/packed_ring.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"

namespace mynah {

// A driver of a packed ring that does anything: chains without end, descriptors that are out made
// available again, rings that lie over each other and over the requests, all while the disk answers
// early, late or out of order. For the fuzz target and for its replay in tests.
class PackedRingFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x10000;
    static constexpr uint64_t kDisk = 0x8000;
    static constexpr uint64_t kRing = 0x1000, kAreas = 0x2000, kRequests = 0x3000;

    void run(testing::ByteFeed& feed) {
        set_up(feed);
        while (!feed.empty()) step(feed);
        disk_.hold(false);
        disk_.release_all();
        mmio_.write(virtio::mmio::kStatus, 4, 0);
        CHECK(mmio_.read(virtio::mmio::kStatus, 4) == 0);
        CHECK(!line_.level());
        CHECK(disk_.bytes().size() == kDisk);
    }

  private:
    void set_up(testing::ByteFeed& feed) {
        using namespace virtio::mmio;
        disk_.release_all();
        mmio_.write(kStatus, 4, 0);
        mmio_.write(kStatus, 4, 3);
        const uint64_t left_out = uint64_t{feed.take<uint8_t>()} << 22;
        for (uint32_t half = 0; half < 2; ++half) {
            mmio_.write(kDeviceFeaturesSel, 4, half);
            mmio_.write(kDriverFeaturesSel, 4, half);
            uint64_t offered = mmio_.read(kDeviceFeatures, 4);
            if (half == 0) offered &= ~left_out;
            mmio_.write(kDriverFeatures, 4, offered);
        }
        mmio_.write(kStatus, 4, 11);
        const uint64_t odd = feed.take<uint8_t>();
        size_ = 1 + feed.take<uint8_t>() % 32u;
        mmio_.write(kQueueSel, 4, 0);
        mmio_.write(kQueueNum, 4, size_);
        mmio_.write(kQueueDescLow, 4, kRing);
        // Now and then over the ring itself, or nowhere.
        mmio_.write(kQueueDriverLow, 4, odd < 10 ? kRing : odd < 12 ? kRam - 2 : kAreas);
        mmio_.write(kQueueDeviceLow, 4, odd % 10 == 0 ? kRing + 16 : kAreas + 4);
        mmio_.write(kQueueReady, 4, 1);
        mmio_.write(kStatus, 4, 15);
        next_ = 0;
        wrap_ = true;
    }

    void step(testing::ByteFeed& feed) {
        switch (feed.take<uint8_t>() % 9) {
            case 0:
            case 1:
            case 2:
                add(feed);
                break;
            case 3:
                poke(feed);
                break;
            case 4:
                disk_.hold((feed.take<uint8_t>() & 1) != 0);
                break;
            case 5:
                disk_.release_one();
                break;
            case 6:
                if (feed.take<uint8_t>() < 16) set_up(feed);
                break;
            case 7:
                mmio_.write(virtio::mmio::kInterruptAck, 4, 3);
                break;
            case 8:
                next_ = feed.take<uint8_t>() % size_;
                wrap_ = (feed.take<uint8_t>() & 1) != 0;
                break;
        }
        mmio_.write(virtio::mmio::kQueueNotify, 4, uint64_t{feed.take<uint8_t>()} << 16);
    }

    // A request of three buffers, in the ring or in a table, of which the feed spoils what it
    // likes.
    void add(testing::ByteFeed& feed) {
        using namespace virtio;
        const auto id = feed.take<uint16_t>();
        const auto place = kRequests + feed.take<uint8_t>() * uint64_t{64};
        const block::RequestHeader header{feed.take<uint8_t>() % 15u, 0,
                                          feed.take<uint8_t>() % 70u};
        CHECK(memory_->store(GuestPhys{place}, header));
        const uint16_t writable = header.type % 8 == 0 ? kDescWrite : 0;
        const uint32_t length = feed.take<uint8_t>() % 12 * 256;
        std::array<PackedDescriptor, 3> entries{
            PackedDescriptor{place, 16, id, kDescNext},
            PackedDescriptor{place + 16, length, id, static_cast<uint16_t>(kDescNext | writable)},
            PackedDescriptor{place + 0x2000, 1, id, kDescWrite}};
        if (feed.take<uint8_t>() % 4 == 0) {
            const GuestPhys table{0xf000};
            CHECK(memory_->store(table, entries));
            put(feed, {table.value, 48, id, kDescIndirect});
            return;
        }
        for (const PackedDescriptor& entry : entries) put(feed, entry);
    }
    void put(testing::ByteFeed& feed, virtio::PackedDescriptor entry) {
        using namespace virtio;
        entry.flags |= wrap_ ? kDescAvailable : kDescUsed;
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
                entry = {kRing, 64, 0, static_cast<uint16_t>(entry.flags | kDescIndirect)};
                break;
            default:
                break;
        }
        CHECK(memory_->store(GuestPhys{kRing + 16 * uint64_t{next_}}, entry));
        if (++next_ == size_) {
            next_ = 0;
            wrap_ = !wrap_;
        }
    }
    void poke(testing::ByteFeed& feed) {
        const uint64_t at = kRing + feed.take<uint16_t>() % 0x1800;
        const auto bytes = feed.take_bytes(feed.take<uint8_t>() % 32 + size_t{1});
        CHECK(memory_->write(GuestPhys{at}, std::as_bytes(bytes)));
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::MemoryDisk disk_{kDisk};
    VirtioBlock block_{disk_, {1, "fuzz", true, {.packed = true, .in_order = true}}};
    VirtioMmio mmio_{block_, view_, line_};
    uint32_t size_ = 1, next_ = 0;
    bool wrap_ = true;
};

}  // namespace mynah
