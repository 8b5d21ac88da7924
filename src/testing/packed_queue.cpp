#include "testing/packed_queue.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.h"

namespace mynah::testing {

using namespace virtio;

GuestPackedQueue::GuestPackedQueue(GuestAllocator& allocator, uint16_t size)
    : allocator_(allocator),
      memory_(allocator.memory()),
      size_(size),
      descriptors_(allocator.take(16 * uint64_t{size}, 16)),
      driver_(allocator.take(sizeof(EventSuppression), 4)),
      device_(allocator.take(sizeof(EventSuppression), 4)),
      free_(size) {
    CHECK(memory_.fill(descriptors_, std::byte{0}, 16 * uint64_t{size}));
    CHECK(memory_.store(driver_, EventSuppression{}));
    CHECK(memory_.store(device_, EventSuppression{}));
}

void GuestPackedQueue::write_descriptor(uint16_t index, const PackedDescriptor& descriptor) {
    CHECK(memory_.store(descriptors_ + 16 * uint64_t{index}, descriptor));
}

bool GuestPackedQueue::add(std::span<const GuestBuffer> buffers, uint16_t id, bool indirect) {
    std::vector<PackedDescriptor> entries;
    for (const GuestBuffer& buffer : buffers) {
        entries.push_back({buffer.address.value, buffer.length, id,
                           static_cast<uint16_t>(buffer.device_writes ? kDescWrite : 0)});
    }
    if (indirect) {
        const GuestPhys table = allocator_.take(16 * entries.size());
        for (size_t i = 0; i < entries.size(); ++i)
            CHECK(memory_.store(table + 16 * i, entries[i]));
        const auto bytes = static_cast<uint32_t>(16 * entries.size());
        entries.assign(1, {table.value, bytes, id, kDescIndirect});
    }
    if (entries.size() > free_) return false;
    const uint16_t first = next_;
    const bool first_wrap = wrap_;
    for (size_t i = 0; i < entries.size(); ++i) {
        PackedDescriptor& entry = entries[i];
        if (i + 1 < entries.size()) entry.flags |= kDescNext;
        const auto round = static_cast<uint16_t>(wrap_ ? kDescAvailable : kDescUsed);
        // The first becomes available last; until then it is in neither state.
        const auto neither = static_cast<uint16_t>(wrap_ ? 0 : kDescAvailable | kDescUsed);
        entry.flags = static_cast<uint16_t>(entry.flags | (i == 0 ? neither : round));
        write_descriptor(next_, entry);
        if (++next_ == size_) {
            next_ = 0;
            wrap_ = !wrap_;
        }
    }
    const auto round = static_cast<uint16_t>(first_wrap ? kDescAvailable : kDescUsed);
    const auto flags =
        static_cast<uint16_t>((entries[0].flags & ~(kDescAvailable | kDescUsed)) | round);
    auto* place = reinterpret_cast<uint16_t*>(
        memory_.host(descriptors_ + 16 * uint64_t{first} + kPackedFlags, 2));
    __atomic_store_n(place, flags, __ATOMIC_RELEASE);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto count = static_cast<uint16_t>(entries.size());
    out_.push_back({id, count});
    free_ = static_cast<uint16_t>(free_ - count);
    added_ = static_cast<uint16_t>(added_ + count);
    return true;
}

std::optional<UsedElement> GuestPackedQueue::take_used() {
    const auto entry = memory_.load<PackedDescriptor>(descriptors_ + 16 * uint64_t{next_used_});
    CHECK(entry.has_value());
    const bool available = (entry->flags & kDescAvailable) != 0;
    const bool used = (entry->flags & kDescUsed) != 0;
    if (available != used || used != used_wrap_) return std::nullopt;
    const auto out =
        std::ranges::find_if(out_, [&](const Out& each) { return each.id == entry->id; });
    CHECK(out != out_.end());
    next_used_ = static_cast<uint16_t>(next_used_ + out->descriptors);
    if (next_used_ >= size_) {
        next_used_ = static_cast<uint16_t>(next_used_ - size_);
        used_wrap_ = !used_wrap_;
    }
    free_ = static_cast<uint16_t>(free_ + out->descriptors);
    out_.erase(out);
    return UsedElement{entry->id, (entry->flags & kDescWrite) != 0 ? entry->length : 0};
}

bool GuestPackedQueue::needs_bell() {
    const uint16_t added = std::exchange(added_, uint16_t{0});
    const auto wish = memory_.load<EventSuppression>(device_).value();
    if ((wish.flags & kEventsMask) == kEventsOff) return false;
    if ((wish.flags & kEventsMask) == kEventsOn) return true;
    auto event = static_cast<uint16_t>(wish.place & ~kPlaceWrap);
    if (((wish.place & kPlaceWrap) != 0) != wrap_) event = static_cast<uint16_t>(event - size_);
    return passes_event(event, next_, static_cast<uint16_t>(next_ - added));
}

void GuestPackedQueue::set_events(uint16_t flags, uint16_t place) {
    CHECK(memory_.store(driver_, EventSuppression{place, flags}));
}

}  // namespace mynah::testing
