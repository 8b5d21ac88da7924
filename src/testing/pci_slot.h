#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "bus/io_space.h"
#include "bus/pci/pci_function.h"
#include "memory/guest_memory.h"
#include "testing/recording_line.h"
#include "testing/recording_msi_sink.h"

namespace mynah::testing {

// What a PCI function under test is plugged into, and the firmware that sets it up.
class PciSlotBoard {
  public:
    static constexpr uint64_t kMemoryBars = 0xf0000000, kIoBars = 0xc000;

    // blocks: bytes for option ROMs and the like.
    explicit PciSlotBoard(uint64_t ram, uint64_t blocks = 0)
        : memory([ram, blocks] {
              const GuestMemory::Range range{GuestPhys{0}, ram};
              return GuestMemory::create({&range, 1}, blocks).take_value();
          }()) {}

    PciAttachment attachment() { return {ports, memory_space, *memory, intx, msi}; }

    // Gives each BAR a place (index times 10000h, or times 100h for ports, behind the constants
    // above) and turns decoding and bus mastering on.
    static void set_up(PciFunction& function) {
        for (unsigned bar = 0; bar < 6; ++bar) {
            const unsigned at = 0x10 + 4 * bar;
            const bool io = (function.config_read(at, 4) & 1) != 0;
            function.config_write(
                at, 4,
                static_cast<uint32_t>(io ? kIoBars + bar * 0x100 : kMemoryBars + bar * 0x10000));
        }
        // The upper halves of 64-bit BARs were given places, too: back to 0.
        for (unsigned bar = 0; bar < 5; ++bar) {
            const uint32_t low = function.config_read(0x10 + 4 * bar, 4);
            if ((low & 7) == 4) function.config_write(0x14 + 4 * bar++, 4, 0);
        }
        function.config_write(0x04, 2, 7);
    }

    std::unique_ptr<GuestMemory> memory;
    IoSpace ports, memory_space;
    RecordingLine intx;
    RecordingMsiSink msi;
};

}  // namespace mynah::testing
