#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "machine/boards/hot_slots.h"
#include "paravirt/virtio/virtio_block.h"
#include "testing/byte_feed.h"
#include "testing/memory_disk.h"
#include "testing/pci_slot.h"

namespace mynah::testing {

// Root ports with slots behind them: a guest that writes anything to their registers and to those
// of the cards, an operator who puts cards in and wants them back, and work that is done late.
inline void fuzz_hot_slots(ByteFeed feed) {
    class Late final : public Executor {
      public:
        void post(std::function<void()> work) override { work_.push_back(std::move(work)); }
        void run() {
            while (!work_.empty()) {
                for (auto& each : std::exchange(work_, {})) each();
            }
        }

      private:
        std::vector<std::function<void()>> work_;
    };

    constexpr unsigned kPorts = 2, kMostSteps = 300, kCards = 3, kPortDevice = 28;
    PciSlotBoard board(1 << 16);
    RecordingLine line;
    Late work;
    PciBus bus;
    std::vector<std::unique_ptr<Ich9RootPort>> ports;
    {
        HotSlots slots(work);
        for (unsigned i = 0; i < kPorts; ++i) {
            ports.push_back(std::make_unique<Ich9RootPort>(board.attachment(), i));
            bus.add_bridge({kPortDevice, static_cast<uint8_t>(i)}, ports[i]->function(),
                           ports[i]->secondary());
            ports[i]->function().config_write(pci::bridge::kSecondaryBus, 2, (i + 1) * 0x101);
            slots.add(*ports[i], {board.ports, board.memory_space, *board.memory, line, board.msi});
        }
        for (unsigned step = 0; step < kMostSteps && !feed.empty(); ++step) {
            const auto what = feed.take<uint8_t>();
            const std::string id(1, static_cast<char>('a' + feed.take<uint8_t>() % kCards));
            const auto bus_number = static_cast<uint8_t>(what >> 4 & 3);
            const uint8_t function = bus_number == 0
                                         ? static_cast<uint8_t>(kPortDevice << 3 | (what >> 6 & 1))
                                         : uint8_t{0};
            const unsigned size = 1u << (what >> 2 & 3) % 3;
            switch (what & 3) {
                case 0:
                case 1: {
                    const unsigned at = feed.take<uint8_t>() * 4u % 256 / size * size;
                    if ((what & 1) == 0)
                        bus.config_write(bus_number, function, at, size, feed.take<uint32_t>());
                    else
                        (void)bus.config_read(bus_number, function, at, size);
                    break;
                }
                case 2: {
                    HotCard card;
                    card.id = id;
                    card.class_code = 0x010000;
                    auto disk = std::make_shared<MemoryDisk>(uint64_t{1} << 12);
                    card.device = std::make_unique<VirtioBlock>(*disk, VirtioBlockOptions{});
                    card.backend = std::move(disk);
                    (void)slots.plug(std::move(card));
                    break;
                }
                default:
                    if ((what & 0x80) != 0)
                        work.run();
                    else if ((what & 0x40) != 0)
                        slots.reset();
                    else
                        (void)slots.request_unplug(id);
            }
        }
        work.run();
    }
    work.run();
}

}  // namespace mynah::testing
