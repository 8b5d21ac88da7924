#include "paravirt/virtio/virtio_session.h"

#include <array>
#include <span>
#include <utility>

#include "base/bits.h"

namespace mynah {

using namespace virtio;

VirtioSession::VirtioSession(VirtioDevice& device, const DmaView& memory,
                             VirtioInterrupts& interrupts)
    : device_(device),
      interrupts_(interrupts),
      rings_(device.rings()),
      translated_(memory.translated()) {
    QueueEvents& events = *this;
    for (uint16_t i = 0; i < device.queue_count(); ++i) {
        QueueSlot slot;
        slot.queue = std::make_unique<VirtioQueue>(memory, i, events);
        queues_.push_back(std::move(slot));
    }
    VirtioDeviceEvents& device_events = *this;
    device.connect(&device_events);
}

VirtioSession::~VirtioSession() {
    {
        MutexLock hold(lock_);
        for (QueueSlot& slot : queues_) stop_queue(slot);
    }
    device_.reset();
    device_.connect(nullptr);
}

uint64_t VirtioSession::offered_features() const {
    uint64_t bits = device_.features() | kFeatureVersion1 | kFeatureIndirectDesc |
                    kFeatureEventIdx | kFeatureNotificationData | kFeatureRingReset;
    if (rings_.packed) bits |= kFeatureRingPacked;
    if (rings_.in_order) bits |= kFeatureInOrder;
    if (translated_) bits |= kFeatureAccessPlatform;
    return bits;
}

uint64_t VirtioSession::driver_features() const {
    MutexLock hold(lock_);
    return driver_features_;
}

uint64_t VirtioSession::read_config(uint64_t offset, unsigned size) const {
    std::array<std::byte, 8> bytes{};
    device_.read_config(offset, std::span(bytes).first(size));
    return load_unaligned<uint64_t>(bytes.data());
}

void VirtioSession::write_config(uint64_t offset, unsigned size, uint64_t value) {
    std::array<std::byte, 8> bytes;
    store_unaligned(bytes.data(), value);
    device_.write_config(offset, std::span(bytes).first(size));
}

void VirtioSession::set_driver_features(uint64_t features) {
    MutexLock hold(lock_);
    if ((status() & (kStatusFeaturesOk | kStatusDriverOk)) != 0) return;
    driver_features_ = features;
    note_features(false);
}

uint32_t VirtioSession::legacy_features() const {
    const uint64_t rings = kFeatureIndirectDesc | kFeatureEventIdx | kFeatureAnyLayout;
    return static_cast<uint32_t>(device_.features() | rings);
}

void VirtioSession::write_status(uint32_t value) {
    if (value == 0)
        reset();
    else
        add_status(value, false);
}

void VirtioSession::write_legacy_status(uint32_t value) {
    if (value == 0)
        reset();
    else
        add_status(value & ~kStatusFeaturesOk, true);
}

void VirtioSession::add_status(uint32_t value, bool legacy) {
    std::vector<VirtioQueue*> started;
    bool broken = false;
    {
        MutexLock hold(lock_);
        const uint32_t before = status();
        // The driver only adds bits [virtio-1.2 2.1.1], and never this one.
        uint32_t added = value & ~before & ~kStatusNeedsReset;
        // Nor may a legacy driver, which has no such bit, negotiate while its queues run.
        if ((added & kStatusFeaturesOk) != 0 &&
            ((before & kStatusDriverOk) != 0 || !accept_features(offered_features()))) {
            added &= ~kStatusFeaturesOk;
            note_refusal(legacy);
        }
        if (legacy) {
            if ((added & kStatusDriverOk) != 0 && !accept_features(legacy_features())) {
                added &= ~kStatusDriverOk;
                note_refusal(legacy);
            }
        } else if ((added & kStatusDriverOk) != 0 && ((before | added) & kStatusFeaturesOk) == 0) {
            if (complaints_.allow()) {
                log(LogLevel::kWarning, "virtio device {}: DRIVER_OK before FEATURES_OK ignored",
                    device_.device_id());
            }
            added &= ~kStatusDriverOk;
        }
        status_.fetch_or(added, std::memory_order_acq_rel);
        if (VirtioHistory* const history = device_.history()) history->legacy = legacy;
        note_status();
        if ((added & kStatusDriverOk) != 0 && serving()) {
            for (QueueSlot& slot : queues_) {
                if (!slot.ready) continue;
                if (start_queue(slot))
                    started.push_back(slot.queue.get());
                else
                    broken = true;
            }
        }
    }
    if (broken) needs_reset();
    // A driver should not have rung before DRIVER_OK, but may have added buffers.
    for (VirtioQueue* queue : started) device_.serve(*queue);
}

// Behind an IOMMU a driver that knows of none would hand out the wrong addresses [6.2].
uint64_t VirtioSession::needed_features() const {
    return kFeatureVersion1 | kFeatureAccessPlatform;
}

void VirtioSession::note_features(bool legacy) {
    VirtioHistory* const history = device_.history();
    if (history == nullptr) return;
    const uint64_t offered = legacy ? legacy_features() : offered_features();
    history->offered = offered;
    history->needed = needed_features() & offered;
    history->withheld = device_.withheld_features();
    history->chosen = driver_features_;
}

void VirtioSession::note_status() {
    if (VirtioHistory* const history = device_.history()) history->status = status();
}

void VirtioSession::note_refusal(bool legacy) {
    note_features(legacy);
    VirtioHistory* const history = device_.history();
    if (history == nullptr) return;
    history->legacy = legacy;
    ++history->refusals;
}

bool VirtioSession::accept_features(uint64_t offered) {
    const uint64_t needed = needed_features();
    // [virtio-1.2 2.2.2]: a set that the device cannot work with is refused by not setting the
    // bit; without VERSION_1 the driver would be a legacy one [6.1].
    if ((driver_features_ & ~offered) != 0 ||
        (driver_features_ & offered & needed) != (offered & needed)) {
        if (complaints_.allow()) {
            log(LogLevel::kWarning, "virtio device {}: driver's features {:#x} refused",
                device_.device_id(), driver_features_);
        }
        return false;
    }
    has_notification_data_ = (driver_features_ & kFeatureNotificationData) != 0;
    device_.negotiated(driver_features_ & (device_.features() | kFeatureVersion1));
    return true;
}

void VirtioSession::stop_queue(QueueSlot& slot) {
    slot.queue->halt();
    device_.stopping(*slot.queue);
    slot.queue->stop();
}

bool VirtioSession::start_queue(QueueSlot& slot) {
    Ring::Features features;
    features.indirect = (driver_features_ & kFeatureIndirectDesc) != 0;
    features.event_index = (driver_features_ & kFeatureEventIdx) != 0;
    features.packed = (driver_features_ & kFeatureRingPacked) != 0;
    features.in_order = (driver_features_ & kFeatureInOrder) != 0;
    // Drivers take limits such as seg_max at their word even where they chose a smaller queue.
    features.max_chain = device_.queue_size_max(slot.queue->index());
    if (slot.layout.size <= device_.queue_size_max(slot.queue->index()) &&
        slot.queue->start(slot.layout, features)) {
        return true;
    }
    slot.ready = false;
    if (VirtioHistory* const history = device_.history())
        history->bad_queue = slot.queue->index() + 1u;
    if (complaints_.allow()) {
        log(LogLevel::kWarning,
            "virtio device {}: queue {} of {} entries at {:#x}, {:#x}, {:#x} refused",
            device_.device_id(), slot.queue->index(), slot.layout.size,
            slot.layout.descriptors.value, slot.layout.available.value, slot.layout.used.value);
    }
    return false;
}

void VirtioSession::reset() {
    {
        MutexLock hold(lock_);
        // Bells find no running queue from here on. What is in flight may still write to guest
        // memory, so the status reads 0 only when all of it is back [virtio-1.2 2.4.1].
        for (QueueSlot& slot : queues_) {
            stop_queue(slot);
            slot.layout = {};
            slot.ready = false;
        }
        driver_features_ = 0;
        has_notification_data_ = false;
        device_.reset();
        if (VirtioHistory* const history = device_.history()) {
            history->before |= status();
            history->chosen = 0;
            history->bad_queue = 0;
            ++history->resets;
        }
        status_.store(0, std::memory_order_release);
        note_status();
    }
    interrupts_.forget();
}

uint16_t VirtioSession::queue_size_max(uint16_t queue) const {
    return queue < queue_count() ? device_.queue_size_max(queue) : 0;
}

RingLayout VirtioSession::queue_layout(uint16_t queue) const {
    if (queue >= queue_count()) return {};
    MutexLock hold(lock_);
    return queues_[queue].layout;
}

void VirtioSession::set_queue_layout(uint16_t queue, const RingLayout& layout) {
    if (queue >= queue_count()) return;
    MutexLock hold(lock_);
    if (!queues_[queue].ready) queues_[queue].layout = layout;
}

bool VirtioSession::queue_ready(uint16_t queue) const {
    if (queue >= queue_count()) return false;
    MutexLock hold(lock_);
    return queues_[queue].ready;
}

void VirtioSession::set_queue_ready(uint16_t queue, bool ready) {
    if (queue >= queue_count()) return;
    VirtioQueue* started = nullptr;
    bool broken = false;
    {
        MutexLock hold(lock_);
        QueueSlot& slot = queues_[queue];
        if (ready == slot.ready) return;
        slot.ready = ready;
        if (!ready) {
            // Stops the queue; its place in the ring is lost [virtio-1.2 4.2.2.1, QueueReady].
            stop_queue(slot);
        } else if (serving()) {
            if (start_queue(slot))
                started = slot.queue.get();
            else
                broken = true;
        }
    }
    if (broken) needs_reset();
    if (started != nullptr) device_.serve(*started);
}

void VirtioSession::reset_queue(uint16_t queue) {
    if (queue >= queue_count()) return;
    MutexLock hold(lock_);
    if ((driver_features_ & kFeatureRingReset) == 0) return;
    QueueSlot& slot = queues_[queue];
    stop_queue(slot);
    slot.layout = {};
    slot.ready = false;
}

bool VirtioSession::serving() const {
    return (status() & (kStatusDriverOk | kStatusNeedsReset)) == kStatusDriverOk;
}

void VirtioSession::notify_with_data(uint32_t value) {
    // [virtio-1.2 2.9, 4.2.3.3]: with NOTIFICATION_DATA the upper half says how far the driver got,
    // which the ring says as well; without it the upper half belongs to the number.
    const bool data = has_notification_data_.load(std::memory_order_relaxed);
    if (!data && value > 0xffff) return;
    notify(static_cast<uint16_t>(value));
}

void VirtioSession::notify(uint16_t queue) {
    if (queue >= queue_count() || !serving()) return;
    // No lock: the list of queues is constant, and a queue that does not run has nothing to serve.
    device_.serve(*queues_[queue].queue);
}

void VirtioSession::queue_used(uint16_t index) { interrupts_.used_buffers(index); }

void VirtioSession::queue_broken(uint16_t index, Ring::RingError error) {
    if (complaints_.allow()) {
        log(LogLevel::kWarning, "virtio device {}: queue {} stopped: {}", device_.device_id(),
            index, ring_error_name(error));
    }
    if (VirtioHistory* const history = device_.history()) history->bad_queue = index + 1u;
    needs_reset();
}

void VirtioSession::configuration_changed() {
    config_generation_.fetch_add(1, std::memory_order_acq_rel);
    if ((status() & kStatusDriverOk) != 0) interrupts_.configuration_changed();
}

void VirtioSession::needs_reset() {
    const uint32_t before = status_.fetch_or(kStatusNeedsReset, std::memory_order_acq_rel);
    note_status();
    // [virtio-1.2 2.1.2]: told once DRIVER_OK is set.
    if ((before & kStatusNeedsReset) == 0 && (before & kStatusDriverOk) != 0) {
        interrupts_.configuration_changed();
    }
}

}  // namespace mynah
