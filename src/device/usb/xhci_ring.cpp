#include "device/usb/xhci_ring.h"

namespace mynah {

using namespace usb::xhci;

XhciRing::Fetched XhciRing::next(const DmaView& dma, Trb& trb, uint64_t& address) {
    constexpr unsigned kMaxLinks = 16;
    for (unsigned links = 0; links <= kMaxLinks; ++links) {
        // The cycle bit first: what lies before it is there only if it says so.
        const auto control = dma.load_acquire<uint32_t>(GuestPhys(dequeue + 12));
        if (!control) return Fetched::kError;
        if (((*control & kCycle) != 0) != cycle) return Fetched::kNone;
        const auto loaded = dma.load<Trb>(GuestPhys(dequeue));
        if (!loaded) return Fetched::kError;
        trb = *loaded;
        trb.control = *control;
        if (TrbType::get(trb.control) != kLink) {
            address = dequeue;
            dequeue += sizeof(Trb);
            return Fetched::kTrb;
        }
        dequeue = trb.parameter & kDequeueMask;
        if ((trb.control & kToggleCycle) != 0) cycle = !cycle;
    }
    return Fetched::kLinks;
}

}  // namespace mynah
