#include "paravirt/virtio/virtio_pci.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/bits.h"

namespace mynah {

using namespace virtio::pci;

namespace {

// Where the structures lie in BAR 4, each on a page of its own.
constexpr unsigned kBar = 4, kMsixBar = 1;
constexpr uint32_t kCommonAt = 0, kIsrAt = 0x1000, kDeviceAt = 0x2000, kNotifyAt = 0x3000;
constexpr uint32_t kPage = 0x1000, kBarSize = 0x4000;
constexpr uint32_t kNotifyStride = 4;  // bytes from one queue's bell to the next
constexpr unsigned kMostVectors = 64;
constexpr uint32_t kMsixTable = 0, kMsixPending = 0x800, kMsixBarSize = 0x1000;

uint32_t low_half(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high_half(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

GuestPhys with_low(GuestPhys address, uint32_t value) {
    return GuestPhys{(address.value & ~low_mask(32)) | value};
}
GuestPhys with_high(GuestPhys address, uint32_t value) {
    return GuestPhys{(address.value & low_mask(32)) | uint64_t{value} << 32};
}

PciIdentity identity_of(const VirtioDevice& device, uint32_t class_code) {
    return {.vendor = kVendor,
            .device = static_cast<uint16_t>(kFirstDevice + device.device_id()),
            .class_code = class_code,
            .revision = kRevision,
            .subsystem_vendor = kVendor,
            .subsystem = static_cast<uint16_t>(kSubsystem + device.device_id())};
}

// The width of the field of the common structure that begins at this offset, in bytes; 0: none.
unsigned common_width(uint64_t offset) {
    switch (offset) {
        case kDeviceStatus:
        case kConfigGeneration:
            return 1;
        case kConfigMsixVector:
        case kNumQueues:
        case kQueueSelect:
        case kQueueSize:
        case kQueueMsixVector:
        case kQueueEnable:
        case kQueueNotifyOff:
        case kQueueNotifyData:
        case kQueueReset:
            return 2;
        default:
            return offset < kCommonSize && offset % 4 == 0 ? 4 : 0;
    }
}

// What the BAR with the MSI-X table has besides: nothing.
class Nothing final : public IoHandler {
    uint64_t read(uint64_t, unsigned) override { return 0; }
    void write(uint64_t, unsigned, uint64_t) override {}
};
Nothing nothing;

}  // namespace

VirtioPci::VirtioPci(VirtioDevice& device, const PciAttachment& attachment, uint32_t class_code)
    : function_(attachment, identity_of(device, class_code)),
      line_(function_),
      isr_(line_),
      vectors_(std::min<unsigned>(device.queue_count() + 1u, kMostVectors)),
      config_vector_(kNoVector),
      queue_vectors_(device.queue_count()),
      session_(device, function_.dma(), *this) {
    for (auto& vector : queue_vectors_) vector = kNoVector;
    lay_out();
}

void VirtioPci::lay_out() {
    function_.add_express(PciFunction::Express::kIntegrated);
    function_.add_bar(kMsixBar, PciFunction::Bar::kMemory32, kMsixBarSize, nothing);
    function_.add_bar(kBar, PciFunction::Bar::kPrefetchable64, kBarSize, *this);
    function_.add_msix(vectors_, kMsixBar, kMsixTable, kMsixPending);
    add_structure(CapabilityType::kCommon, kCommonAt, kCommonSize);
    add_structure(CapabilityType::kIsr, kIsrAt, 1);
    add_structure(CapabilityType::kDevice, kDeviceAt, kPage);
    add_structure(CapabilityType::kNotify, kNotifyAt, kPage);
    add_structure(CapabilityType::kPciConfig, 0, 0);
}

void VirtioPci::add_structure(CapabilityType type, uint32_t offset, uint32_t size) {
    const bool notify = type == CapabilityType::kNotify;
    const bool window = type == CapabilityType::kPciConfig;
    // struct virtio_pci_cap from cap_len on [virtio-1.2 4.1.4].
    constexpr size_t kHeader = 2, kLength = 16;
    std::vector<uint8_t> body(kLength - kHeader + (notify || window ? 4 : 0));
    std::vector<uint8_t> writable(body.size());
    body[0] = static_cast<uint8_t>(body.size() + kHeader);
    body[1] = static_cast<uint8_t>(type);
    body[2] = window ? 0 : kBar;
    store_unaligned(&body[6], offset);
    store_unaligned(&body[10], size);
    if (notify) store_unaligned(&body[14], kNotifyStride);
    if (window) {
        writable[2] = 0xff;
        std::fill(writable.begin() + 6, writable.end(), uint8_t{0xff});
    }
    constexpr uint8_t kVendorSpecific = 9;
    function_.add_capability(kVendorSpecific, std::move(body), std::move(writable));
}

void VirtioPci::reset() {
    write_status(0);
    function_.reset();
}

uint64_t VirtioPci::read(uint64_t offset, unsigned size) {
    const uint64_t within = offset % kPage;
    switch (offset - within) {
        case kCommonAt:
            return common_width(within) == size ? read_common(within) : 0;
        case kIsrAt: {
            if (within != 0) return 0;
            const uint32_t bits = isr_.bits();
            isr_.acknowledge(bits);  // reading clears [virtio-1.2 4.1.4.5]
            return bits;
        }
        case kDeviceAt: {
            std::array<std::byte, 8> bytes{};
            session_.device().read_config(within, std::span(bytes).first(size));
            return load_unaligned<uint64_t>(bytes.data());
        }
        default:
            return 0;
    }
}

void VirtioPci::write(uint64_t offset, unsigned size, uint64_t value) {
    const uint64_t within = offset % kPage;
    switch (offset - within) {
        case kCommonAt:
            // 64-bit fields may be written whole.
            if (size == 8 && within >= kQueueDescLow && within <= kQueueDeviceLow) {
                write(offset, 4, low_half(value));
                write(offset + 4, 4, high_half(value));
            } else if (common_width(within) == size) {
                write_common(within, static_cast<uint32_t>(value));
            } else if (complaints_.allow()) {
                log(LogLevel::kWarning, "virtio-pci: write of {} bytes at {:#x} dropped", size,
                    offset);
            }
            return;
        case kDeviceAt: {
            std::array<std::byte, 8> bytes;
            store_unaligned(bytes.data(), value);
            session_.device().write_config(within, std::span(bytes).first(size));
            return;
        }
        case kNotifyAt:
            session_.notify(static_cast<uint16_t>(within / kNotifyStride));
            return;
        default:
            return;
    }
}

uint16_t VirtioPci::selected_queue() const {
    MutexLock hold(lock_);
    return queue_select_;
}

uint64_t VirtioPci::read_common(uint64_t offset) {
    if (offset >= kQueueSize) return read_queue(offset, selected_queue());
    MutexLock hold(lock_);
    const auto half = [](uint64_t bits, uint32_t which) -> uint32_t {
        return which == 0 ? low_half(bits) : which == 1 ? high_half(bits) : 0;
    };
    switch (offset) {
        case kDeviceFeatureSelect:
            return device_feature_select_;
        case kDeviceFeature:
            return half(session_.offered_features(), device_feature_select_);
        case kDriverFeatureSelect:
            return driver_feature_select_;
        case kDriverFeature:
            return half(session_.driver_features(), driver_feature_select_);
        case kConfigMsixVector:
            return config_vector_;
        case kNumQueues:
            return session_.queue_count();
        case kDeviceStatus:
            return session_.status();
        case kQueueSelect:
            return queue_select_;
        case kConfigGeneration:
            return session_.config_generation() & 0xff;
        default:
            return 0;
    }
}

uint64_t VirtioPci::read_queue(uint64_t offset, uint16_t queue) {
    const RingLayout layout = session_.queue_layout(queue);
    switch (offset) {
        case kQueueSize:
            // The largest until the driver chooses [virtio-1.2 4.1.4.3]; 0: there is no such queue.
            return layout.size != 0 ? layout.size : session_.queue_size_max(queue);
        case kQueueMsixVector:
            return queue < queue_vectors_.size() ? queue_vectors_[queue].load() : kNoVector;
        case kQueueEnable:
            return session_.queue_ready(queue) ? 1 : 0;
        case kQueueNotifyOff:
            return queue;
        case kQueueDescLow:
            return low_half(layout.descriptors.value);
        case kQueueDescHigh:
            return high_half(layout.descriptors.value);
        case kQueueDriverLow:
            return low_half(layout.available.value);
        case kQueueDriverHigh:
            return high_half(layout.available.value);
        case kQueueDeviceLow:
            return low_half(layout.used.value);
        case kQueueDeviceHigh:
            return high_half(layout.used.value);
        default:
            return 0;  // a reset is over when the write that asked for it returns
    }
}

void VirtioPci::write_common(uint64_t offset, uint32_t value) {
    switch (offset) {
        case kDeviceFeatureSelect: {
            MutexLock hold(lock_);
            device_feature_select_ = value;
            return;
        }
        case kDriverFeatureSelect: {
            MutexLock hold(lock_);
            driver_feature_select_ = value;
            return;
        }
        case kDriverFeature:
            write_driver_feature(value);
            return;
        case kConfigMsixVector:
            set_vector(config_vector_, value);
            return;
        case kDeviceStatus:
            write_status(value);
            return;
        case kQueueSelect: {
            MutexLock hold(lock_);
            queue_select_ = static_cast<uint16_t>(value);
            return;
        }
        case kQueueMsixVector:
            if (const uint16_t queue = selected_queue(); queue < queue_vectors_.size())
                set_vector(queue_vectors_[queue], value);
            return;
        case kQueueEnable:
            // The driver never writes 0 [virtio-1.2 4.1.4.3.2].
            if (value != 0) {
                const uint16_t queue = selected_queue();
                RingLayout layout = session_.queue_layout(queue);
                if (layout.size == 0) layout.size = session_.queue_size_max(queue);
                session_.set_queue_layout(queue, layout);
                session_.set_queue_ready(queue, true);
            }
            return;
        case kQueueReset:
            if (value == 1) session_.reset_queue(selected_queue());
            return;
        default:
            write_queue_layout(offset, value);
            return;
    }
}

// A vector that is not there reads back as none, by which the driver knows [virtio-1.2 4.1.5.1.2].
void VirtioPci::set_vector(std::atomic<uint16_t>& vector, uint32_t value) {
    vector = value < vectors_ ? static_cast<uint16_t>(value) : kNoVector;
}

void VirtioPci::write_status(uint32_t value) {
    session_.write_status(value & 0xff);
    if (value != 0) return;
    config_vector_ = kNoVector;
    for (auto& vector : queue_vectors_) vector = kNoVector;
    MutexLock hold(lock_);
    device_feature_select_ = 0;
    driver_feature_select_ = 0;
    queue_select_ = 0;
}

void VirtioPci::write_driver_feature(uint32_t value) {
    MutexLock hold(lock_);
    if (driver_feature_select_ > 1) return;  // there are no features beyond 64
    const uint64_t bits = session_.driver_features();
    session_.set_driver_features(driver_feature_select_ == 0
                                     ? (bits & ~low_mask(32)) | value
                                     : (bits & low_mask(32)) | uint64_t{value} << 32);
}

void VirtioPci::write_queue_layout(uint64_t offset, uint32_t value) {
    MutexLock hold(lock_);
    RingLayout layout = session_.queue_layout(queue_select_);
    switch (offset) {
        case kQueueSize:
            layout.size = value;
            break;
        case kQueueDescLow:
            layout.descriptors = with_low(layout.descriptors, value);
            break;
        case kQueueDescHigh:
            layout.descriptors = with_high(layout.descriptors, value);
            break;
        case kQueueDriverLow:
            layout.available = with_low(layout.available, value);
            break;
        case kQueueDriverHigh:
            layout.available = with_high(layout.available, value);
            break;
        case kQueueDeviceLow:
            layout.used = with_low(layout.used, value);
            break;
        case kQueueDeviceHigh:
            layout.used = with_high(layout.used, value);
            break;
        default:
            return;  // read-only or reserved
    }
    session_.set_queue_layout(queue_select_, layout);
}

// With MSI-X enabled the ISR stays as it is [virtio-1.2 4.1.4.5.1].
void VirtioPci::tell(uint8_t isr, uint16_t vector) {
    if (!function_.msi_enabled()) {
        isr_.raise(isr);
    } else if (vector != kNoVector) {
        function_.send_msi(vector);
    }
}

void VirtioPci::used_buffers(uint16_t queue) { tell(kIsrQueue, queue_vectors_[queue]); }
void VirtioPci::configuration_changed() { tell(kIsrConfiguration, config_vector_); }
void VirtioPci::forget() { isr_.acknowledge(~uint32_t{0}); }

}  // namespace mynah
