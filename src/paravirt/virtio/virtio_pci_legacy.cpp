// The legacy interface of transitional PCI devices [virtio-1.2 4.1.4.10]: what drivers of before
// version 1.0 know. A queue is one address in pages, its size is the device's, and there is no
// FEATURES_OK.


#include "base/bits.h"
#include "paravirt/virtio/virtio_pci.h"

namespace mynah {

using namespace virtio;
using namespace virtio::pci;
using Name = VirtioRegisters::Name;

namespace {

// [virtio-1.2 2.7.2]: table, available ring and, from the next page on, the used ring.
RingLayout legacy_layout(uint32_t size, uint32_t page) {
    RingLayout layout;
    if (page == 0) return layout;
    layout.size = size;
    layout.descriptors = GuestPhys{page * kLegacyPage};
    layout.available = layout.descriptors + sizeof(Descriptor) * uint64_t{size};
    const uint64_t end = layout.available.value + avail_bytes(size);
    layout.used = GuestPhys{align_up(end, kLegacyPage)};
    return layout;
}

unsigned legacy_width(uint64_t offset) {
    switch (offset) {
        case kLegacyDeviceFeatures:
        case kLegacyDriverFeatures:
        case kLegacyQueueAddress:
            return 4;
        case kLegacyQueueSize:
        case kLegacyQueueSelect:
        case kLegacyQueueNotify:
        case kLegacyConfigVector:
        case kLegacyQueueVector:
            return 2;
        case kLegacyStatus:
        case kLegacyIsr:
            return 1;
        default:
            return 0;
    }
}

}  // namespace

// The vectors are there only while MSI-X is enabled.
uint64_t VirtioPci::legacy_config_offset() const {
    return function_.msi_enabled() ? kLegacyConfigBehindVectors : kLegacyConfig;
}

uint64_t VirtioPci::legacy_read(uint64_t offset, unsigned size) {
    const uint64_t config = legacy_config_offset();
    if (offset >= config) return session_.read_config(offset - config, size);
    if (legacy_width(offset) != size) return 0;
    const uint16_t queue = registers_.selected_queue();
    switch (offset) {
        case kLegacyDeviceFeatures:
            return session_.legacy_features();
        case kLegacyDriverFeatures:
            return session_.driver_features() & low_mask(32);
        case kLegacyQueueAddress:
            return session_.queue_layout(queue).descriptors.value / kLegacyPage;
        case kLegacyQueueSize:
            return session_.queue_size_max(queue);
        case kLegacyQueueSelect:
            return queue;
        case kLegacyStatus:
            return session_.status();
        case kLegacyIsr:
            return take_isr();
        case kLegacyConfigVector:
            return config_vector_;
        case kLegacyQueueVector:
            return queue < queue_vectors_.size() ? queue_vectors_[queue].load() : kNoVector;
        default:
            return 0;
    }
}

void VirtioPci::legacy_write(uint64_t offset, unsigned size, uint64_t value) {
    const uint64_t config = legacy_config_offset();
    const auto word = static_cast<uint32_t>(value);
    if (offset >= config) return session_.write_config(offset - config, size, value);
    if (legacy_width(offset) != size) return;
    switch (offset) {
        case kLegacyDriverFeatures:
            session_.set_driver_features(word);
            return;
        case kLegacyQueueAddress:
            set_legacy_queue(word);
            return;
        case kLegacyQueueSelect:
            registers_.write(Name::kQueueSelect, word);
            return;
        case kLegacyQueueNotify:
            // Old drivers use the device before they say DRIVER_OK [virtio-1.2 3.1.2].
            if ((session_.status() & kStatusDriverOk) == 0)
                session_.write_legacy_status(session_.status() | kStatusDriverOk);
            session_.notify(static_cast<uint16_t>(word));
            return;
        case kLegacyStatus:
            session_.write_legacy_status(word & 0xff);
            if ((word & 0xff) == 0) {
                reset_vectors();
                registers_.write(Name::kQueueSelect, 0);
            }
            return;
        case kLegacyConfigVector:
            set_vector(config_vector_, word);
            return;
        case kLegacyQueueVector:
            if (const uint16_t queue = registers_.selected_queue(); queue < queue_vectors_.size())
                set_vector(queue_vectors_[queue], word);
            return;
        default:
            return;
    }
}

// An address starts the queue, 0 stops it.
void VirtioPci::set_legacy_queue(uint32_t page) {
    const uint16_t queue = registers_.selected_queue();
    session_.set_queue_ready(queue, false);
    session_.set_queue_layout(queue, legacy_layout(session_.queue_size_max(queue), page));
    if (page != 0) session_.set_queue_ready(queue, true);
}

}  // namespace mynah
