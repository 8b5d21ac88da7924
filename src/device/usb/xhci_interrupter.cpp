#include "device/usb/xhci_interrupter.h"

#include <algorithm>
#include <utility>

#include "device/usb/xhci_registers.h"

namespace mynah {

using namespace usb::xhci;
using namespace xhci_registers;

namespace {

constexpr uint64_t with_low(uint64_t value, uint32_t low) {
    return (value & ~uint64_t{0xffffffff}) | low;
}
constexpr uint64_t with_high(uint64_t value, uint32_t high) {
    return (value & 0xffffffff) | uint64_t{high} << 32;
}
constexpr uint64_t kDequeueAddress = ~uint64_t{0xf};
constexpr uint32_t kLargestSegment = 4096, kSmallestSegment = 16;

}  // namespace

uint32_t XhciInterrupter::read(uint32_t offset) const {
    switch (offset) {
        case kManagement:
            return management_;
        case kModeration:
            return moderation_;
        case kTableSize:
            return table_size_;
        case kTableBase:
            return static_cast<uint32_t>(table_base_);
        case kTableBase + 4:
            return static_cast<uint32_t>(table_base_ >> 32);
        case kDequeuePointer:
            return static_cast<uint32_t>(dequeue_);
        case kDequeuePointer + 4:
            return static_cast<uint32_t>(dequeue_ >> 32);
        default:
            return 0;
    }
}

XhciInterrupter::Outcome XhciInterrupter::write(uint32_t offset, uint32_t value,
                                                const DmaView& dma) {
    switch (offset) {
        case kManagement:
            if ((value & kPending) != 0) management_ &= ~kPending;
            management_ = (management_ & kPending) | (value & kEnabled);
            return Outcome::kOk;
        case kModeration:
            moderation_ = value;
            return Outcome::kOk;
        case kTableSize:
            table_size_ = value & 0xffff;
            return Outcome::kOk;
        case kTableBase:
            table_base_ = with_low(table_base_, value & ~0x3fu);
            table_stale_ = true;
            return Outcome::kOk;
        case kTableBase + 4:
            table_base_ = with_high(table_base_, value);
            table_stale_ = true;
            return Outcome::kOk;
        case kDequeuePointer: {
            const bool was_busy = (dequeue_ & kHandlerBusy) != 0;
            const bool clears = (value & kHandlerBusy) != 0;
            dequeue_ = with_low(dequeue_, value & ~kHandlerBusy);
            if (was_busy && !clears) dequeue_ |= kHandlerBusy;
            break;
        }
        case kDequeuePointer + 4:
            dequeue_ = with_high(dequeue_, value);
            break;
        default:
            return Outcome::kOk;
    }
    // There is room again, perhaps; and what the handler did not see must interrupt once more.
    bool more = !table_stale_ && segment_size_ != 0 &&
                (dequeue_ & kDequeueAddress) != segment_base_ + position_ * sizeof(Trb);
    while (!waiting_.empty()) {
        const Push pushed = push(waiting_.front().event, dma);
        if (pushed == Push::kHostError) return Outcome::kHostError;
        if (pushed == Push::kFull) break;
        more |= waiting_.front().interrupts;
        waiting_.pop_front();
    }
    if (more) raise();
    return Outcome::kOk;
}

bool XhciInterrupter::take_raised() { return std::exchange(raised_, false); }

// Not while the handler is at it: it will see the event [xHCI 1.1 4.17.2].
void XhciInterrupter::raise() {
    if ((dequeue_ & kHandlerBusy) != 0) return;
    dequeue_ |= kHandlerBusy;
    management_ |= kPending;
    raised_ = true;
}

bool XhciInterrupter::load_segment(uint32_t index, const DmaView& dma) {
    const auto entry = dma.load<RingSegment>(GuestPhys(table_base_ + index * sizeof(RingSegment)));
    if (!entry) return false;
    segment_ = index;
    segment_base_ = entry->base & ~uint64_t{0x3f};
    segment_size_ = std::clamp(entry->size & 0xffff, kSmallestSegment, kLargestSegment);
    position_ = 0;
    return true;
}

bool XhciInterrupter::load_table(const DmaView& dma) {
    if (!table_stale_) return true;
    if (!load_segment(0, dma)) return false;
    cycle_ = true;
    table_stale_ = false;
    return true;
}

XhciInterrupter::Push XhciInterrupter::push(Trb event, const DmaView& dma) {
    if (!load_table(dma)) return Push::kHostError;
    const uint64_t place = segment_base_ + position_ * sizeof(Trb);
    // Where the one after this would go: if the driver has not come past it the ring is full.
    const uint32_t segments = std::clamp(table_size_, 1u, 1u << kSegmentTableExponent);
    uint64_t following = place + sizeof(Trb);
    const bool turns = position_ + 1 >= segment_size_;
    const uint32_t next_segment = segment_ + 1 >= segments ? 0 : segment_ + 1;
    if (turns) {
        const auto entry =
            dma.load<RingSegment>(GuestPhys(table_base_ + next_segment * sizeof(RingSegment)));
        if (!entry) return Push::kHostError;
        following = entry->base & ~uint64_t{0x3f};
    }
    if (following == (dequeue_ & kDequeueAddress)) return Push::kFull;

    // The control word with the cycle bit goes last: it hands the event over.
    event.control = (event.control & ~kCycle) | (cycle_ ? kCycle : 0);
    if (!dma.store(GuestPhys(place), event.parameter) ||
        !dma.store(GuestPhys(place + 8), event.status) ||
        !dma.store_release(GuestPhys(place + 12), event.control)) {
        return Push::kHostError;
    }
    if (!turns) {
        ++position_;
        return Push::kDone;
    }
    if (next_segment == 0) cycle_ = !cycle_;
    return load_segment(next_segment, dma) ? Push::kDone : Push::kHostError;
}

XhciInterrupter::Outcome XhciInterrupter::post(Trb event, bool interrupts, const DmaView& dma) {
    if (table_size_ == 0) return Outcome::kOk;  // the driver does not use this interrupter
    if (waiting_.empty()) {
        const Push pushed = push(event, dma);
        if (pushed == Push::kHostError) return Outcome::kHostError;
        if (pushed == Push::kDone) {
            if (interrupts) raise();
            return Outcome::kOk;
        }
    }
    // Bounded: while somebody waits only port changes and the ends of what runs are added.
    if (waiting_.size() < kMaxWaiting) waiting_.push_back({event, interrupts});
    return Outcome::kOk;
}

}  // namespace mynah
