#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {

// A driver whose rings are right and whose requests are anything: types, sectors, lengths, framing.
// Every request must come back once with a status the specification knows, and no write may miss
// its place: reads, and in the end the disk, are compared with a copy.
class VirtioBlockFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x100000;
    static constexpr uint64_t kDisk = 0x4000;

    void run(testing::ByteFeed& feed) {
        const uint64_t features = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc |
                                  (feed.take<uint8_t>() & 1) * virtio::kFeatureEventIdx |
                                  (block_.features() & feed.take<uint16_t>());
        CHECK(driver_.negotiate(features));
        queue_.emplace(driver_.make_queue(0, 64));
        driver_.driver_ok();
        for (int requests = 0; requests < 60 && !feed.empty(); ++requests) {
            one_request(feed);
        }
        CHECK(disk_.bytes() == copy_);
    }

  private:
    void one_request(testing::ByteFeed& feed) {
        using namespace virtio::block;
        const RequestHeader header{feed.take<uint8_t>() % 16u, 0, sector(feed)};
        const uint64_t data_size = length(feed);
        std::vector<uint8_t> out(sizeof header + data_size);
        std::memcpy(out.data(), &header, sizeof header);
        const auto given =
            feed.take_bytes(header.type == kIn ? 0 : std::min<uint64_t>(data_size, 64));
        std::memcpy(out.data() + sizeof header, given.data(), given.size());
        const bool reads = header.type == kIn || header.type == kGetId;
        const uint64_t readable = reads ? sizeof header : out.size();
        const uint64_t writable = 1 + (reads ? data_size : 0);

        const GuestPhys place = driver_.allocator().take(readable);
        CHECK(memory_->write(place, std::as_bytes(std::span(out).first(readable))));
        const GuestPhys answer = driver_.allocator().take(writable);
        CHECK(memory_->fill(answer, std::byte{0xee}, writable));
        std::vector<testing::GuestBuffer> buffers;
        cut(feed, place, readable, false, buffers);
        cut(feed, answer, writable, true, buffers);
        const bool indirect = buffers.size() > 8 || (feed.take<uint8_t>() & 1) != 0;
        const uint16_t head = queue_->add(buffers, indirect);
        driver_.announce(0, *queue_);

        const auto used = queue_->take_used();
        CHECK(used && used->id == head && used->length <= writable);
        CHECK((driver_.status() & virtio::kStatusNeedsReset) == 0);
        const uint8_t status = memory_->load<uint8_t>(answer + (writable - 1)).value();
        CHECK(status <= kStatusUnsupported);
        if (status == kStatusOk) follow(header, out, answer);
    }

    // Does to the copy what the request should have done to the disk.
    void follow(const virtio::block::RequestHeader& header, const std::vector<uint8_t>& out,
                GuestPhys answer) {
        using namespace virtio::block;
        const uint64_t size = out.size() - sizeof header;
        if (header.type == kIn || header.type == kOut) {
            CHECK(size % 512 == 0 && header.sector <= kDisk / 512);
            CHECK(size <= kDisk - header.sector * 512);
            std::byte* there = copy_.data() + header.sector * 512;
            if (header.type == kOut)
                std::memcpy(there, out.data() + sizeof header, size);
            else
                CHECK(size == 0 || std::memcmp(memory_->host(answer, size), there, size) == 0);
            return;
        }
        if (header.type != kDiscard && header.type != kWriteZeroes) return;
        CHECK(size % sizeof(RangeSegment) == 0);
        for (uint64_t at = sizeof header; at < out.size(); at += sizeof(RangeSegment)) {
            const auto segment = load_unaligned<RangeSegment>(out.data() + at);
            CHECK(segment.sector <= kDisk / 512);
            CHECK(uint64_t{segment.num_sectors} * 512 <= kDisk - segment.sector * 512);
            std::memset(copy_.data() + segment.sector * 512, header.type == kDiscard ? 0xdd : 0,
                        uint64_t{segment.num_sectors} * 512);
        }
    }

    // Mostly on the disk, sometimes anywhere.
    static uint64_t sector(testing::ByteFeed& feed) {
        const uint8_t choice = feed.take<uint8_t>();
        return choice < 240 ? choice % (kDisk / 512 + 2) : feed.take<uint64_t>();
    }
    static uint64_t length(testing::ByteFeed& feed) {
        const uint8_t choice = feed.take<uint8_t>();
        if (choice < 128) return (choice % 8) * 512;
        return choice < 192 ? (choice % 40) * 16 : feed.take<uint16_t>() % 4096;
    }
    static void cut(testing::ByteFeed& feed, GuestPhys place, uint64_t size, bool writes,
                    std::vector<testing::GuestBuffer>& to) {
        while (size > 0) {
            const uint64_t wish = feed.take<uint8_t>();
            const uint64_t part =
                to.size() > 40 || wish >= 200 ? size : std::min<uint64_t>(size, wish);
            to.push_back({place, static_cast<uint32_t>(part), writes});
            place = place + part;
            size -= part;
        }
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::MemoryDisk disk_{kDisk};
    std::vector<std::byte> copy_ = std::vector<std::byte>(kDisk);
    VirtioBlock block_{disk_, {1, "fuzz", true}};
    VirtioMmio mmio_{block_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<testing::GuestQueue> queue_;
};

}  // namespace mynah
