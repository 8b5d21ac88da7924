#pragma once

#include <array>
#include <memory>

#include "base/check.h"
#include "device/display/vga_adapter.h"
#include "memory/guest_memory.h"
#include "testing/byte_board.h"

namespace mynah::testing {

// A VGA under a guest that does anything with its ports, registers and memory while somebody looks.
inline void drive_vga(std::span<const uint8_t> bytes) {
    class AllDirty final : public DirtyPages {
      public:
        void collect(std::span<uint64_t> bits) override {
            for (uint64_t& word : bits) word = ~uint64_t{0};
        }
    };
    constexpr uint64_t kVideoBytes = 1 << 18;
    const GuestMemory::Range range{GuestPhys(0), 1 << 12};
    auto memory = GuestMemory::create(std::span(&range, 1), kVideoBytes).take_value();
    ByteBoard board;
    AllDirty dirty;
    VgaAdapter adapter(board.clock(), *memory, memory->take_block(kVideoBytes), dirty, Monitor{});
    Surface surface;
    std::vector<Rect> changed;
    unsigned looks = 0;
    board.add(adapter.ports(), vga::kPorts);
    board.add(adapter.dispi_ports(), 4);
    board.add(adapter.window(), vga::kWindowBytes, 8);
    board.add(adapter.registers(), vga::kRegisterBytes, 8);
    board.add([&](ByteSource&) {
        if (++looks > 64) return;  // pictures are slow to draw
        changed.clear();
        adapter.refresh(surface, changed);
        for (const Rect& rect : changed) {
            CHECK(rect.width > 0 && rect.height > 0);
            CHECK(rect.x + rect.width <= surface.width());
            CHECK(rect.y + rect.height <= surface.height());
        }
    });
    // What a mode needs, so that pictures are not black most of the time.
    board.add([&](ByteSource& source) {
        adapter.ports().write(vga::kMiscWrite - vga::kFirstPort, 1, 0x63 | source.take(1));
        adapter.ports().write(vga::kSequencerIndex - vga::kFirstPort, 2, 0x0300);
        adapter.ports().read(vga::kStatus1Colour - vga::kFirstPort, 1);
        adapter.ports().write(vga::kAttributeIndex - vga::kFirstPort, 1, 0x20);
    });
    board.add([&](ByteSource& source) {
        for (const unsigned index : {1u, 2u, 3u, 4u}) {
            adapter.registers().write(vga::kDispiOffset + 2 * index, 2, source.take(2));
        }
    });
    board.add([&](ByteSource&) { adapter.reset(); });
    board.run(bytes);
}

}  // namespace mynah::testing
