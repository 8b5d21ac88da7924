#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/network/network_backend.h"
#include "device/network/i82540em_registers.h"
#include "memory/dma_view.h"

namespace mynah::i82540em {

// Writes a frame into the buffers of a descriptor ring [8254x 3.2]. Single-threaded.
struct Receiver {
    struct Settings {
        uint32_t rctl = 0, rxcsum = 0;
        bool strip_vlan = false;      // CTRL.VME
        uint16_t vlan_type = 0x8100;  // VET
        bool verified = false;        // the backend vouches for the checksums
    };
    struct Ring {
        GuestPhys base;
        uint32_t descriptors = 0;  // 0: none
        uint32_t head = 0, tail = 0;

        uint32_t free() const {
            if (descriptors == 0 || head >= descriptors || tail >= descriptors) return 0;
            return tail >= head ? tail - head : descriptors - head + tail;
        }
        void advance() { head = head + 1 == descriptors ? 0 : head + 1; }
    };

    // Bytes of one buffer [8254x 13.4.22, BSIZE and BSEX].
    static uint32_t buffer_size(uint32_t rctl);
    // How many descriptors a frame takes.
    static uint32_t descriptors_for(size_t frame_size, const Settings& settings);
    // The frame's bytes side by side, as they came. ring.free() must be enough. Moves the head.
    static void store(std::span<const std::byte> frame, const Settings& settings,
                      const DmaView& dma, Ring& ring);
};

}  // namespace mynah::i82540em
