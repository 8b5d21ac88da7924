#pragma once

#include <cstdint>

#include "memory/dma_view.h"
#include "spec/usb/xhci.h"

namespace mynah {

// The consumer's place in a ring of TRBs [xHCI 1.1 4.9.2]. A value: copy it to look ahead.
struct XhciRing {
    uint64_t dequeue = 0;
    bool cycle = true;

    // The pointer with its cycle bit, as contexts hold it [xHCI 1.1 6.2.3].
    uint64_t pointer() const { return dequeue | (cycle ? usb::xhci::kDequeueCycle : 0); }
    static XhciRing at(uint64_t pointer) {
        return {pointer & usb::xhci::kDequeueMask, (pointer & usb::xhci::kDequeueCycle) != 0};
    }

    enum class Fetched : uint8_t {
        kTrb,
        kNone,   // the driver has not put anything there yet
        kError,  // not in memory
        kLinks,  // too many links in a row: a ring that leads nowhere
    };
    // The next TRB that is no link, and where it lies; moves behind it.
    Fetched next(const DmaView& dma, usb::xhci::Trb& trb, uint64_t& address);
};

}  // namespace mynah
