#include "paravirt/virtio/packed_ring.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/check.h"

namespace mynah {

using namespace virtio;

bool PackedRing::start(const RingLayout& layout, Features features) {
    layout_ = layout;
    features_ = features;
    error_ = RingError::kNone;
    next_available_ = {};
    next_used_ = {};
    out_ = 0;
    const uint32_t size = layout.size;
    if (size == 0 || size > kMaxQueueSize) return fail(RingError::kBadSize);
    // Alignment [virtio-1.2 2.8.10.1].
    if (layout.descriptors.value % 16 != 0 || layout.available.value % 4 != 0 ||
        layout.used.value % 4 != 0) {
        return fail(RingError::kNotMemory);
    }
    if (!memory_.contains(layout.descriptors, 16 * uint64_t{size}) ||
        !memory_.contains(layout.available, sizeof(EventSuppression)) ||
        !memory_.contains(layout.used, sizeof(EventSuppression), DmaUse::kWrite)) {
        return fail(RingError::kNotMemory);
    }
    notes_.assign(size, {});
    taken_.assign(size, 0);
    taken_next_ = 0;
    free_.resize(size);
    for (uint32_t i = 0; i < size; ++i) free_[i] = static_cast<uint16_t>(size - 1 - i);
    return true;
}

PackedRing::Place PackedRing::advance(Place from, uint32_t descriptors) const {
    from.index += descriptors;
    if (from.index >= layout_.size) {
        from.index -= layout_.size;
        from.wrap = !from.wrap;
    }
    return from;
}

PackedRing::Place PackedRing::retreat(Place from, uint32_t descriptors) const {
    if (from.index < descriptors) {
        from.index += layout_.size;
        from.wrap = !from.wrap;
    }
    from.index -= descriptors;
    return from;
}

// [virtio-1.2 2.8.1]: available is what has the round's bit as AVAIL and the other as USED.
std::optional<uint16_t> PackedRing::available_flags(Place place) {
    if (error_ != RingError::kNone) return std::nullopt;
    const auto flags = memory_.load_acquire<uint16_t>(address_of(place) + kPackedFlags);
    if (!flags) {
        fail(RingError::kNotMemory);
        return std::nullopt;
    }
    const bool available = (*flags & kDescAvailable) != 0, used = (*flags & kDescUsed) != 0;
    return available == place.wrap && used != place.wrap ? flags : std::nullopt;
}

bool PackedRing::has_available() { return available_flags(next_available_).has_value(); }

// Counts the chains from a place on. What is out is not looked at again, so that there are at most
// as many descriptors as the ring has.
PackedRing::Seen PackedRing::look(Place from) {
    Seen seen;
    seen.end = from;
    for (uint32_t i = out_; i < layout_.size; ++i) {
        const auto flags = available_flags(seen.end);
        if (!flags) return seen;
        seen.more = (*flags & kDescNext) != 0;
        if (!seen.more) ++seen.chains;
        seen.end = advance(seen.end, 1);
    }
    return seen;
}

uint16_t PackedRing::available() {
    const Seen seen = look(next_available_);
    // A chain without an end: take() says what is wrong with it.
    return seen.chains == 0 && seen.more ? uint16_t{1} : seen.chains;
}

uint16_t PackedRing::arm_notification() {
    if (!features_.event_index) return available();
    Seen seen = look(next_available_);
    // As for the split ring: a further turn means that the driver has just added something.
    for (uint32_t turn = 0; turn <= layout_.size; ++turn) {
        if (error_ != RingError::kNone) return 0;
        const auto place = static_cast<uint32_t>(seen.end.index | (seen.end.wrap ? kPlaceWrap : 0));
        // Place and flags at once, so that the driver finds both or neither.
        if (!memory_.store_release<uint32_t>(layout_.used,
                                             place | uint32_t{kEventsAtPlace} << 16)) {
            fail(RingError::kNotMemory);
            return 0;
        }
        std::atomic_thread_fence(std::memory_order_seq_cst);
        const Seen again = look(next_available_);
        const bool same = again.end.index == seen.end.index && again.end.wrap == seen.end.wrap;
        seen = again;
        if (same) break;
    }
    if (error_ != RingError::kNone) return 0;
    return seen.chains == 0 && seen.more ? uint16_t{1} : seen.chains;
}

bool PackedRing::take(DescriptorChain& chain) {
    chain.readable.clear();
    chain.writable.clear();
    const auto flags = available_flags(next_available_);
    if (!flags) return false;
    if (free_.empty()) return fail(RingError::kIndexJump);
    Note note;
    if (!take_direct(*flags, note, chain)) return false;
    chain.head = free_.back();
    free_.pop_back();
    notes_[chain.head] = note;
    taken_[taken_next_] = chain.head;
    taken_next_ = (taken_next_ + 1) % layout_.size;
    out_ += note.descriptors;
    next_available_ = advance(next_available_, note.descriptors);
    return true;
}

// The descriptors of one chain, one after the other in the ring [virtio-1.2 2.8.6]; the last one
// has the buffer id.
bool PackedRing::take_direct(uint16_t first_flags, Note& note, DescriptorChain& chain) {
    Place place = next_available_;
    uint64_t bytes = 0;
    for (;;) {
        if (out_ + note.descriptors >= layout_.size) return fail(RingError::kIndexJump);
        auto descriptor = memory_.load<PackedDescriptor>(address_of(place));
        if (!descriptor) return fail(RingError::kNotMemory);
        // That it is available was said by these flags, and may no longer be by those just read.
        if (note.descriptors == 0) descriptor->flags = first_flags;
        ++note.descriptors;
        if ((descriptor->flags & kDescIndirect) != 0) {
            if (!take_indirect(*descriptor, bytes, chain)) return false;
        } else if (!append_buffer(GuestPhys{descriptor->address}, descriptor->length,
                                  (descriptor->flags & kDescWrite) != 0, bytes, chain)) {
            return false;
        }
        note.id = descriptor->id;
        if ((descriptor->flags & kDescNext) == 0) return true;
        place = advance(place, 1);
    }
}

// [virtio-1.2 2.8.7, 2.8.19]: all entries of the table belong to the chain, in their order; of
// their flags only WRITE counts.
bool PackedRing::take_indirect(const PackedDescriptor& descriptor, uint64_t& bytes,
                               DescriptorChain& chain) {
    if (!features_.indirect || (descriptor.flags & kDescNext) != 0)
        return fail(RingError::kBadIndirect);
    if (descriptor.length == 0 || descriptor.length % 16 != 0) return fail(RingError::kBadIndirect);
    const GuestPhys table{descriptor.address};
    if (!memory_.contains(table, descriptor.length)) return fail(RingError::kNotMemory);
    const uint32_t entries = descriptor.length / 16;
    if (entries > std::max(layout_.size, features_.max_chain)) return fail(RingError::kLoop);
    for (uint32_t i = 0; i < entries; ++i) {
        const auto entry = memory_.load<PackedDescriptor>(table + 16 * uint64_t{i});
        if (!entry) return fail(RingError::kNotMemory);
        if (!append_buffer(GuestPhys{entry->address}, entry->length,
                           (entry->flags & kDescWrite) != 0, bytes, chain)) {
            return false;
        }
    }
    return true;
}

void PackedRing::untake(uint16_t count) {
    for (; count > 0; --count) {
        taken_next_ = (taken_next_ + layout_.size - 1) % layout_.size;
        const uint16_t head = taken_[taken_next_];
        Note& note = notes_[head];
        next_available_ = retreat(next_available_, note.descriptors);
        out_ -= note.descriptors;
        note = {};
        free_.push_back(head);
    }
}

uint16_t PackedRing::used_flags(Place place, uint32_t written) const {
    // WRITE says that the length means something [virtio-1.2 2.8.1, 2.8.6.1].
    const auto round = static_cast<uint16_t>(place.wrap ? kDescAvailable | kDescUsed : 0);
    return static_cast<uint16_t>(round | (written > 0 ? kDescWrite : 0));
}

bool PackedRing::write_used(Place place, Note note, uint32_t written, bool flags_too) {
    const uint64_t length_and_id = uint64_t{written} | uint64_t{note.id} << 32;
    std::array<std::byte, 6> bytes;
    std::copy_n(reinterpret_cast<const std::byte*>(&length_and_id), bytes.size(), bytes.begin());
    const GuestPhys at = address_of(place);
    if (!memory_.write(at + kPackedLength, bytes)) return fail(RingError::kNotMemory);
    if (!flags_too) return true;
    if (!memory_.store_release<uint16_t>(at + kPackedFlags, used_flags(place, written)))
        return fail(RingError::kNotMemory);
    return true;
}

bool PackedRing::give_back_all(std::span<const UsedElement> chains) {
    if (error_ != RingError::kNone || chains.empty()) return false;
    // The driver looks at one descriptor after the other: without the flags of the first it sees
    // none of them.
    const Place first = next_used_;
    uint32_t descriptors = 0;
    for (const UsedElement& element : chains) {
        CHECK(element.id < notes_.size());
        Note& note = notes_[element.id];
        CHECK(note.descriptors > 0);  // given back once
        if (!write_used(next_used_, note, element.length, descriptors != 0)) return false;
        next_used_ = advance(next_used_, note.descriptors);
        descriptors += note.descriptors;
        note = {};
        free_.push_back(static_cast<uint16_t>(element.id));
    }
    out_ -= descriptors;
    if (!memory_.store_release<uint16_t>(address_of(first) + kPackedFlags,
                                         used_flags(first, chains.front().length))) {
        return fail(RingError::kNotMemory);
    }
    return wants_interrupt(descriptors);
}

// [virtio-1.2 2.8.14, 2.8.21.3]: did the last `descriptors` places go past the driver's?
bool PackedRing::wants_interrupt(uint32_t descriptors) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto wish = memory_.load_acquire<uint32_t>(layout_.available);
    if (!wish) return false;
    const auto place = static_cast<uint16_t>(*wish);
    const auto flags = static_cast<uint16_t>(*wish >> 16 & kEventsMask);
    if (flags == kEventsOff) return false;
    if (flags != kEventsAtPlace || !features_.event_index) return true;
    const bool wrap = (place & kPlaceWrap) != 0;
    // One of the round before counts down from this round's beginning.
    auto event = static_cast<uint16_t>(place & ~kPlaceWrap);
    if (wrap != next_used_.wrap) event = static_cast<uint16_t>(event - layout_.size);
    const auto now = static_cast<uint16_t>(next_used_.index);
    return passes_event(event, now, static_cast<uint16_t>(now - descriptors));
}

}  // namespace mynah
