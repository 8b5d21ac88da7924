#include "testing/virtio_driver.h"

#include <algorithm>
#include <atomic>

#include "base/bits.h"
#include "base/check.h"
#include "spec/virtio/device.h"
#include "spec/virtio/mmio_registers.h"

namespace mynah::testing {

using namespace virtio;

GuestPhys GuestAllocator::take(uint64_t size, uint64_t alignment) {
    const GuestPhys place{align_up(next_.value, alignment)};
    CHECK(memory_.host(place, size) != nullptr);
    next_ = place + size;
    return place;
}

GuestQueue::GuestQueue(GuestAllocator& allocator, uint16_t size, bool event_index,
                       uint64_t alignment)
    : allocator_(allocator),
      memory_(allocator.memory()),
      size_(size),
      event_index_(event_index),
      descriptors_(allocator.take(16 * uint64_t{size}, std::max<uint64_t>(alignment, 16))),
      available_(allocator.take(avail_bytes(size), 2)),
      used_(allocator.take(used_bytes(size), std::max<uint64_t>(alignment, 4))) {
    CHECK(memory_.fill(descriptors_, std::byte{0}, 16 * uint64_t{size}));
    CHECK(memory_.fill(available_, std::byte{0}, avail_bytes(size)));
    CHECK(memory_.fill(used_, std::byte{0}, used_bytes(size)));
}

uint16_t GuestQueue::take_free() {
    // Tests complete what they add before the table comes round.
    const uint16_t index = next_descriptor_;
    next_descriptor_ = static_cast<uint16_t>((next_descriptor_ + 1) % size_);
    return index;
}

uint16_t GuestQueue::add(std::span<const GuestBuffer> buffers, bool indirect) {
    const auto flags = [&](size_t i) {
        return static_cast<uint16_t>((buffers[i].device_writes ? kDescWrite : 0) |
                                     (i + 1 < buffers.size() ? kDescNext : 0));
    };
    uint16_t head = 0;
    if (indirect) {
        const GuestPhys table = allocator_.take(16 * buffers.size());
        for (size_t i = 0; i < buffers.size(); ++i) {
            const Descriptor entry{buffers[i].address.value, buffers[i].length, flags(i),
                                   static_cast<uint16_t>(i + 1)};
            CHECK(memory_.store(table + 16 * i, entry));
        }
        head = take_free();
        write_descriptor(
            head, {table.value, static_cast<uint32_t>(16 * buffers.size()), kDescIndirect, 0});
    } else {
        head = next_descriptor_;
        for (size_t i = 0; i < buffers.size(); ++i) {
            const uint16_t index = take_free();
            write_descriptor(
                index, {buffers[i].address.value, buffers[i].length, flags(i), next_descriptor_});
        }
    }
    add_head(head);
    return head;
}

void GuestQueue::add_head(uint16_t head) {
    CHECK(memory_.store(available_ + avail_entry(static_cast<uint16_t>(next_available_ % size_)),
                        head));
    set_available_index(static_cast<uint16_t>(next_available_ + 1));
}

void GuestQueue::write_descriptor(uint16_t index, const Descriptor& descriptor) {
    CHECK(memory_.store(descriptors_ + 16 * uint64_t{index}, descriptor));
}

void GuestQueue::set_available_index(uint16_t index) {
    next_available_ = index;
    auto* place = reinterpret_cast<uint16_t*>(memory_.host(available_ + kAvailIdx, 2));
    __atomic_store_n(place, index, __ATOMIC_RELEASE);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

bool GuestQueue::needs_bell() {
    const uint16_t before = announced_;
    announced_ = next_available_;
    if (event_index_) return passes_event(avail_event(), next_available_, before);
    return (used_flags() & 1) == 0;
}

std::optional<UsedElement> GuestQueue::take_used() {
    if (used_index() == next_used_) return std::nullopt;
    const auto slot = static_cast<uint16_t>(next_used_++ % size_);
    return memory_.load<UsedElement>(used_ + used_entry(slot));
}

uint16_t GuestQueue::used_index() const {
    auto* place = reinterpret_cast<uint16_t*>(memory_.host(used_ + kUsedIdx, 2));
    return __atomic_load_n(place, __ATOMIC_ACQUIRE);
}

uint16_t GuestQueue::used_flags() const {
    return memory_.load<uint16_t>(used_ + kUsedFlags).value();
}

uint16_t GuestQueue::avail_event() const {
    auto* place = reinterpret_cast<uint16_t*>(memory_.host(used_ + virtio::avail_event(size_), 2));
    return __atomic_load_n(place, __ATOMIC_ACQUIRE);
}

void GuestQueue::set_used_event(uint16_t index) {
    CHECK(memory_.store(available_ + virtio::used_event(size_), index));
}

void GuestQueue::set_no_interrupt(bool on) {
    CHECK(memory_.store<uint16_t>(available_ + kAvailFlags, on ? kAvailNoInterrupt : 0));
}

uint64_t VirtioDriver::device_features() {
    write(mmio::kDeviceFeaturesSel, 0);
    const uint64_t low = read(mmio::kDeviceFeatures);
    write(mmio::kDeviceFeaturesSel, 1);
    return low | uint64_t{read(mmio::kDeviceFeatures)} << 32;
}

void VirtioDriver::write_driver_features(uint64_t features) {
    write(mmio::kDriverFeaturesSel, 0);
    write(mmio::kDriverFeatures, static_cast<uint32_t>(features));
    write(mmio::kDriverFeaturesSel, 1);
    write(mmio::kDriverFeatures, static_cast<uint32_t>(features >> 32));
}

bool VirtioDriver::negotiate(uint64_t features) {
    write(mmio::kStatus, 0);
    write(mmio::kStatus, kStatusAcknowledge);
    write(mmio::kStatus, kStatusAcknowledge | kStatusDriver);
    features_ = features;
    write_driver_features(features);
    write(mmio::kStatus, kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk);
    return (status() & kStatusFeaturesOk) != 0;
}

GuestQueue VirtioDriver::make_queue(uint16_t index, uint16_t size) {
    write(mmio::kQueueSel, index);
    if (size == 0) size = static_cast<uint16_t>(read(mmio::kQueueNumMax));
    GuestQueue queue(allocator_, size, (features_ & kFeatureEventIdx) != 0);
    write_queue(index, queue, size);
    write(mmio::kQueueReady, 1);
    return queue;
}

void VirtioDriver::write_queue(uint16_t index, const GuestQueue& queue, uint32_t size) {
    const auto pair = [this](uint64_t low, GuestPhys address) {
        write(low, static_cast<uint32_t>(address.value));
        write(low + 4, static_cast<uint32_t>(address.value >> 32));
    };
    write(mmio::kQueueSel, index);
    write(mmio::kQueueNum, size);
    pair(mmio::kQueueDescLow, queue.descriptors());
    pair(mmio::kQueueDriverLow, queue.available());
    pair(mmio::kQueueDeviceLow, queue.used());
}

void VirtioDriver::driver_ok() { write(mmio::kStatus, status() | kStatusDriverOk); }
uint32_t VirtioDriver::status() { return read(mmio::kStatus); }
void VirtioDriver::ring(uint16_t queue) { write(mmio::kQueueNotify, queue); }

void VirtioDriver::announce(uint16_t index, GuestQueue& queue) {
    if (queue.needs_bell()) ring(index);
}

}  // namespace mynah::testing
