#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "memory/guest_memory.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"

namespace mynah::testing {

// What the boards of the storage fuzz targets share: a disk, a disc that comes and goes, and a
// guest that scribbles over its memory.
class StorageFuzzMedia {
  public:
    static constexpr uint64_t kDisk = 0x10000, kDisc = 0x10000;

    StorageFuzzMedia() {
        for (size_t i = 0; i < kDisk; ++i) disk.bytes()[i] = static_cast<std::byte>(i / 512 ^ i);
    }

    // Holds requests back, lets one or all go, fails them, or not.
    void step(ByteFeed& feed) {
        switch (feed.take<uint8_t>() % 8) {
            case 0:
            case 1:
                disk.hold(true);
                disc.hold(true);
                break;
            case 2:
            case 3:
                disk.release_one();
                disc.release_one();
                break;
            case 4:
                disk.fail_with(static_cast<BlockStatus>(feed.take<uint8_t>() % 5));
                break;
            default:
                calm();
        }
    }
    // Everything done, nothing failing.
    void calm() {
        disk.fail_with(std::nullopt);
        disk.hold(false);
        disc.hold(false);
        disk.release_all();
        disc.release_all();
    }
    // A few bytes anywhere in [place, place + size) of guest memory.
    static void scribble(ByteFeed& feed, GuestMemory& memory, uint64_t place, uint64_t size) {
        const uint64_t at = place + feed.take<uint16_t>() % size;
        const auto bytes = feed.take_bytes(feed.take<uint8_t>() % 16 + 1u);
        CHECK(memory.write(GuestPhys(at), std::as_bytes(bytes)));
    }
    bool holds(uint64_t offset, std::span<const uint8_t> bytes) {
        CHECK(offset + bytes.size() <= kDisk);
        return std::memcmp(disk.bytes().data() + offset, bytes.data(), bytes.size()) == 0;
    }

    MemoryDisk disk{kDisk}, disc{kDisc};
};

}  // namespace mynah::testing
