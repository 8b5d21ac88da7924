#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/check.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/byte_feed.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah::testing {

// A driver whose rings are right and whose buffers are anything, for a device of any type. No chain
// may come back twice or with more written than it has room for, and the device may not ask for a
// reset, as no rule of the rings was broken.
class DeviceFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x400000;

    // The device is made over memory().
    explicit DeviceFuzzBoard(const GuestMemory::Beyond& beyond = {})
        : memory_([&beyond] {
              const GuestMemory::Range range{GuestPhys{0}, kRam};
              return GuestMemory::create({&range, 1}, 0, beyond).take_value();
          }()),
          view_(*memory_) {}

    GuestMemory& memory() { return *memory_; }

    // fill: puts the beginning of a readable buffer there, for requests that are nearly right;
    // event: something the host does.
    struct Hooks {
        std::function<void(ByteFeed&, uint16_t queue, std::vector<uint8_t>&)> fill;
        std::function<void(ByteFeed&)> event = {};
        bool more = true;  // anything follows what fill put there
        std::function<void()> end = {};  // before the driver resets the device
        uint32_t room = 0;  // writable bytes without which a request breaks a rule of the device
    };
    void run(VirtioDevice& device, ByteFeed& feed, const Hooks& hooks) {
        VirtioMmio mmio(device, view_, line_);
        VirtioDriver driver(mmio, *memory_, GuestPhys{0x1000});
        const uint64_t features = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc |
                                  (device.features() & ~(uint64_t{feed.take<uint8_t>()} >> 4));
        CHECK(driver.negotiate(features));
        queues_.clear();
        for (uint16_t i = 0; i < device.queue_count(); ++i)
            queues_.push_back({driver.make_queue(i, kEntries), {}, 0});
        driver.driver_ok();
        for (int steps = 0; steps < 80 && !feed.empty(); ++steps) {
            const uint8_t choice = feed.take<uint8_t>();
            if (choice < 200) {
                chain(driver, feed, hooks, static_cast<uint16_t>(choice % queues_.size()));
            } else if (choice < 240) {
                if (hooks.event) hooks.event(feed);
            } else {
                const uint64_t offset = 0x100 + feed.take<uint8_t>() % 64u;
                driver.write(offset & ~3ull, feed.take<uint32_t>());
                (void)driver.read(offset & ~3ull);
            }
            collect();
            CHECK((driver.status() & virtio::kStatusNeedsReset) == 0);
        }
        if (hooks.end) hooks.end();
        driver.write(0x70, 0);
    }

  private:
    static constexpr uint16_t kEntries = 64;
    struct Queue {
        GuestQueue ring;
        std::map<uint32_t, uint64_t> out;  // head to bytes that may be written
        uint16_t added = 0;
    };

    void chain(VirtioDriver& driver, ByteFeed& feed, const Hooks& hooks, uint16_t index) {
        Queue& queue = queues_[index];
        // Descriptors are taken in turns, and some may stay with the device.
        if (queue.added == kEntries || total_ > kRam / 2) return;
        std::vector<uint8_t> readable;
        if (hooks.fill) hooks.fill(feed, index, readable);
        const auto more = feed.take_bytes(hooks.more ? feed.take<uint8_t>() % 64u : 0);
        readable.insert(readable.end(), more.begin(), more.end());
        const uint32_t writable =
            hooks.room + (feed.take<uint8_t>() < 64 ? 0 : feed.take<uint16_t>() % 9000u);
        std::vector<GuestBuffer> buffers;
        if (!readable.empty()) {
            const GuestPhys place = driver.allocator().take(readable.size());
            CHECK(memory_->write(place, std::as_bytes(std::span(readable))));
            const auto cut = static_cast<uint32_t>(feed.take<uint8_t>() % readable.size());
            const auto size = static_cast<uint32_t>(readable.size());
            if (cut > 0) buffers.push_back({place, cut, false});
            buffers.push_back({place + cut, size - cut, false});
        }
        if (writable > 0) {
            const bool pages = hooks.room == 0 && (writable & 1) != 0;
            const uint32_t size = pages ? writable & ~0xfffu : writable;
            if (size > 0) {
                const GuestPhys place = driver.allocator().take(size, pages ? kPageSize : 16);
                buffers.push_back({place, size, true});
            }
        }
        if (buffers.empty()) return;
        total_ += readable.size() + writable + kPageSize;
        uint64_t room = 0;
        for (const GuestBuffer& buffer : buffers) room += buffer.device_writes ? buffer.length : 0;
        queue.out[queue.ring.add(buffers, true)] = room;
        ++queue.added;
        driver.announce(index, queue.ring);
    }

    void collect() {
        for (Queue& queue : queues_) {
            while (const auto used = queue.ring.take_used()) {
                const auto found = queue.out.find(used->id);
                CHECK(found != queue.out.end());
                CHECK(used->length <= found->second);
                queue.out.erase(found);
            }
        }
    }

    std::unique_ptr<GuestMemory> memory_;
    DmaView view_;
    RecordingLine line_;
    std::vector<Queue> queues_;
    uint64_t total_ = 0;
};

}  // namespace mynah::testing
