#include "paravirt/virtio/split_ring.h"

#include <algorithm>
#include <atomic>
#include <bit>

namespace mynah {

// Where in which table the walk along a chain is.
struct SplitRing::Walk {
    GuestPhys table;
    uint32_t table_size = 0;  // descriptors
    uint32_t index = 0;
    uint32_t seen = 0;  // descriptors with a buffer so far
    bool indirect = false;
    uint64_t bytes = 0;
};

bool SplitRing::start(const RingLayout& layout, Features features) {
    layout_ = layout;
    features_ = features;
    error_ = RingError::kNone;
    next_available_ = features.next_available;
    next_used_ = features.next_used;
    const uint32_t size = layout.size;
    if (!std::has_single_bit(size) || size > virtio::kMaxQueueSize)
        return fail(RingError::kBadSize);
    // Alignment [virtio-1.2 2.7].
    if (layout.descriptors.value % 16 != 0 || layout.available.value % 2 != 0 ||
        layout.used.value % 4 != 0) {
        return fail(RingError::kNotMemory);
    }
    if (!memory_.contains(layout.descriptors, 16 * uint64_t{size}) ||
        !memory_.contains(layout.available, virtio::avail_bytes(size)) ||
        !memory_.contains(layout.used, virtio::used_bytes(size), DmaUse::kWrite)) {
        return fail(RingError::kNotMemory);
    }
    return true;
}

uint16_t SplitRing::available() {
    if (error_ != RingError::kNone) return 0;
    const auto index = memory_.load_acquire<uint16_t>(layout_.available + virtio::kAvailIdx);
    if (!index) {
        fail(RingError::kNotMemory);
        return 0;
    }
    const uint16_t count = static_cast<uint16_t>(*index - next_available_);
    // The descriptors of what was taken and not given back are not the driver's to offer again
    // [virtio-1.2 2.7.6].
    const auto out = static_cast<uint16_t>(next_available_ - next_used_);
    if (uint32_t{count} + out > layout_.size) {
        fail(RingError::kIndexJump);
        return 0;
    }
    return count;
}

uint16_t SplitRing::arm_notification() {
    uint16_t count = available();
    if (!features_.event_index) return count;
    // Each further turn means that the driver added entries within the last few instructions; since
    // the count only grows, there are at most as many turns as the queue has entries.
    for (;;) {
        const uint16_t event = static_cast<uint16_t>(next_available_ + count);
        if (error_ != RingError::kNone) return 0;
        if (!memory_.store_release<uint16_t>(layout_.used + virtio::avail_event(layout_.size),
                                             event)) {
            fail(RingError::kNotMemory);
            return 0;
        }
        // The driver writes its index, then reads the event; we write the event, then read the
        // index. Unless both put a full fence between, both can miss the other's news.
        std::atomic_thread_fence(std::memory_order_seq_cst);
        const uint16_t again = available();
        if (again == count || error_ != RingError::kNone) return again;
        if (again < count) {
            fail(RingError::kIndexJump);  // an index never goes back [virtio-1.2 2.7.6]
            return 0;
        }
        count = again;
    }
}

bool SplitRing::take(DescriptorChain& chain) {
    if (error_ != RingError::kNone) return false;
    const auto slot = static_cast<uint16_t>(next_available_ & (layout_.size - 1));
    const auto head = memory_.load<uint16_t>(layout_.available + virtio::avail_entry(slot));
    if (!head) return fail(RingError::kNotMemory);
    if (*head >= layout_.size) return fail(RingError::kBadHead);
    ++next_available_;
    return retake(*head, chain);
}

bool SplitRing::retake(uint16_t head, DescriptorChain& chain) {
    chain.readable.clear();
    chain.writable.clear();
    if (error_ != RingError::kNone) return false;
    if (head >= layout_.size) return fail(RingError::kBadHead);
    chain.head = head;
    Walk along;
    along.table = layout_.descriptors;
    along.table_size = layout_.size;
    along.index = head;
    return walk(along, chain);
}

bool SplitRing::walk(Walk& walk, DescriptorChain& chain) {
    for (;;) {
        const auto descriptor =
            memory_.load<virtio::Descriptor>(walk.table + 16 * uint64_t{walk.index});
        if (!descriptor) return fail(RingError::kNotMemory);
        if ((descriptor->flags & virtio::kDescIndirect) != 0) {
            if (!enter_indirect(walk, *descriptor)) return false;
            continue;
        }
        // A loop shows as a chain that does not end.
        if (++walk.seen > std::max(layout_.size, features_.max_chain))
            return fail(RingError::kLoop);
        if (!append_buffer(GuestPhys{descriptor->address}, descriptor->length,
                           (descriptor->flags & virtio::kDescWrite) != 0, walk.bytes, chain)) {
            return false;
        }
        if ((descriptor->flags & virtio::kDescNext) == 0) return true;
        if (descriptor->next >= walk.table_size) return fail(RingError::kBadNext);
        walk.index = descriptor->next;
    }
}

bool SplitRing::enter_indirect(Walk& walk, const virtio::Descriptor& descriptor) {
    // [virtio-1.2 2.7.5.3.1]: only if negotiated, not inside an indirect table, and not together
    // with NEXT. Buffers before it in the chain are allowed [2.7.5.3.2].
    if (!features_.indirect || walk.indirect) return fail(RingError::kBadIndirect);
    if ((descriptor.flags & virtio::kDescNext) != 0) return fail(RingError::kBadIndirect);
    if (descriptor.length == 0 || descriptor.length % 16 != 0) return fail(RingError::kBadIndirect);
    walk.table = GuestPhys{descriptor.address};
    walk.table_size = descriptor.length / 16;
    // Checked whole and at once: a table that runs into a hole is refused even if its chain ends
    // before.
    if (!memory_.contains(walk.table, descriptor.length)) return fail(RingError::kNotMemory);
    walk.index = 0;
    walk.indirect = true;
    return true;
}

bool SplitRing::give_back_all(std::span<const virtio::UsedElement> chains) {
    if (error_ != RingError::kNone || chains.empty()) return false;
    const uint16_t old_used = next_used_;
    for (const virtio::UsedElement& element : chains) {
        const auto slot = static_cast<uint16_t>(next_used_++ & (layout_.size - 1));
        if (!memory_.store(layout_.used + virtio::used_entry(slot), element)) {
            return fail(RingError::kNotMemory);
        }
    }
    if (!memory_.store_release<uint16_t>(layout_.used + virtio::kUsedIdx, next_used_)) {
        return fail(RingError::kNotMemory);
    }
    return wants_interrupt(old_used);
}

bool SplitRing::wants_interrupt(uint16_t old_used) {
    // As in arm_notification(): our index first, then the driver's wish.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (features_.event_index) {
        const auto event =
            memory_.load_acquire<uint16_t>(layout_.available + virtio::used_event(layout_.size));
        return event && virtio::passes_event(*event, next_used_, old_used);
    }
    const auto flags = memory_.load_acquire<uint16_t>(layout_.available + virtio::kAvailFlags);
    return flags && (*flags & virtio::kAvailNoInterrupt) == 0;
}

}  // namespace mynah
