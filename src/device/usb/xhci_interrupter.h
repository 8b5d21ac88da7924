#pragma once

#include <cstdint>
#include <deque>

#include "memory/dma_view.h"
#include "spec/usb/xhci.h"

namespace mynah {

// One interrupter of an xHCI controller with its event ring [xHCI 1.1 4.9.4, 4.17, 5.5.2].
// Single-threaded.
//
// Events that find the ring full wait here until the driver has made room; backed_up() tells the
// controller to start nothing meanwhile that makes more of them. Interrupt moderation is left out:
// the handler-busy bit alone keeps interrupts from piling up.
class XhciInterrupter {
  public:
    enum class Outcome : uint8_t { kOk, kHostError };  // host error: the ring is not in memory

    uint32_t read(uint32_t offset) const;
    // May make waiting events fit.
    Outcome write(uint32_t offset, uint32_t value, const DmaView& dma);
    void reset() { *this = {}; }

    // interrupts: whether the event may raise an interrupt.
    Outcome post(usb::xhci::Trb event, bool interrupts, const DmaView& dma);
    bool backed_up() const { return !waiting_.empty(); }

    // IMAN.IP and IMAN.IE.
    bool asserted() const { return (management_ & 3) == 3; }
    void sent() { management_ &= ~1u; }  // as a message [xHCI 1.1 4.17.5]
    // Whether an interrupt became pending since the last call.
    bool take_raised();

  private:
    static constexpr size_t kMaxWaiting = 1024;
    struct Waiting {
        usb::xhci::Trb event;
        bool interrupts;
    };
    enum class Push : uint8_t { kDone, kFull, kHostError };

    bool load_table(const DmaView& dma);
    bool load_segment(uint32_t index, const DmaView& dma);
    Push push(usb::xhci::Trb event, const DmaView& dma);
    void raise();

    uint32_t management_ = 0;
    uint32_t moderation_ = 4000;  // in units of 250 ns; kept for the driver to read
    uint32_t table_size_ = 0;
    uint64_t table_base_ = 0;
    uint64_t dequeue_ = 0;  // with the handler-busy bit and the segment index

    bool table_stale_ = true;  // the driver wrote the base; read the table before the next event
    uint32_t segment_ = 0;     // where the next event goes
    uint64_t segment_base_ = 0;
    uint32_t segment_size_ = 0;
    uint32_t position_ = 0;
    bool cycle_ = true;
    bool raised_ = false;
    std::deque<Waiting> waiting_;
};

}  // namespace mynah
