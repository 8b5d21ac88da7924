#pragma once

#include <cstdint>

#include "base/check.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_pci.h"
#include "spec/virtio/pci_registers.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"
#include "testing/pci_slot.h"

namespace mynah {

// A guest that does anything with the ports of a transitional device, its configuration space and
// memory. For the fuzz target and for its replay in tests.
class VirtioLegacyFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x20000, kDisk = 0x8000;

    VirtioLegacyFuzzBoard() { testing::PciSlotBoard::set_up(device_.function()); }

    void run(testing::ByteFeed& feed) {
        while (!feed.empty()) step(feed);
        disk_.hold(false);
        disk_.release_all();
        device_.reset();
        CHECK(!board_.intx.level());
        CHECK(disk_.bytes().size() == kDisk);
    }

  private:
    void out(uint64_t port, unsigned size, uint64_t value) {
        using namespace virtio::pci;
        // These wait for what is in flight, and here nobody else would end it.
        if (port <= kLegacyStatus) disk_.release_all();
        board_.ports.write(testing::PciSlotBoard::kIoBars + port, size, value);
    }
    void step(testing::ByteFeed& feed) {
        using namespace virtio::pci;
        switch (feed.take<uint8_t>() % 8) {
            case 0: {
                const unsigned size = 1u << feed.take<uint8_t>() % 3;
                out(feed.take<uint8_t>() % (128u - size), size, feed.take<uint32_t>());
                break;
            }
            case 1:
                board_.ports.read(testing::PciSlotBoard::kIoBars + feed.take<uint8_t>() % 124u, 4);
                break;
            case 2: {
                const uint64_t at = feed.take<uint16_t>();
                const auto bytes = feed.take_bytes(feed.take<uint8_t>() % 64 + size_t{1});
                CHECK(board_.memory->write(GuestPhys{at}, std::as_bytes(bytes)));
                break;
            }
            case 3: {
                const unsigned at = feed.take<uint8_t>() & ~3u;
                // Without the BARs, which would only go away.
                if (at < 0x10 || at >= 0x28) disk_.release_all();
                if (at < 0x10 || at >= 0x28)
                    device_.function().config_write(at, 4, feed.take<uint32_t>());
                device_.function().config_read(at, 4);
                break;
            }
            case 4:
                disk_.hold((feed.take<uint8_t>() & 1) != 0);
                break;
            case 5:
                set_up(feed);
                break;
            default:
                add_request(feed);
                break;
        }
    }
    void set_up(testing::ByteFeed& feed) {
        using namespace virtio::pci;
        device_.function().config_write(4, 2, 7);
        out(kLegacyStatus, 1, 0);
        out(kLegacyDriverFeatures, 4, uint64_t{feed.take<uint8_t>()} << 22 & ~(1u << 26));
        out(kLegacyQueueSelect, 2, feed.take<uint8_t>() % 3);
        out(kLegacyQueueAddress, 4, 1 + feed.take<uint8_t>() % 34u);
        if ((feed.take<uint8_t>() & 1) != 0) out(kLegacyStatus, 1, 7);
    }
    void add_request(testing::ByteFeed& feed) {
        using namespace virtio;
        const GuestPhys table{0x1000}, available{0x1000 + 16 * VirtioBlock::kQueueSize};
        const GuestPhys place{0x8000 + feed.take<uint8_t>() * uint64_t{64}};
        const block::RequestHeader header{feed.take<uint8_t>() % 15u, 0, feed.take<uint8_t>()};
        CHECK(board_.memory->store(place, header));
        const uint16_t writable = header.type % 8 == 0 ? kDescWrite : 0;
        const Descriptor chain[] = {{place.value, 16, kDescNext, 1},
                                    {place.value + 16, feed.take<uint8_t>() % 8 * 512u,
                                     static_cast<uint16_t>(kDescNext | writable),
                                     feed.take<uint8_t>() < 8 ? uint16_t{0} : uint16_t{2}},
                                    {place.value + 0x2000, 1, kDescWrite, 0}};
        for (uint64_t i = 0; i < 3; ++i) CHECK(board_.memory->store(table + 16 * i, chain[i]));
        const uint16_t index = board_.memory->load<uint16_t>(available + kAvailIdx).value();
        CHECK(board_.memory->store<uint16_t>(available + kAvailIdx,
                                             static_cast<uint16_t>(index + 1)));
        board_.ports.write(testing::PciSlotBoard::kIoBars + virtio::pci::kLegacyQueueNotify, 2, 0);
    }

    testing::PciSlotBoard board_{kRam};
    testing::MemoryDisk disk_{kDisk};
    VirtioBlock block_{disk_, {2, "fuzz", true, {}}};
    VirtioPci device_{block_, board_.attachment(), 0x010000, VirtioPci::Interface::kTransitional};
};

}  // namespace mynah
