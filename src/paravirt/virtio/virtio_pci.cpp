#include "paravirt/virtio/virtio_pci.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/bits.h"
#include "base/check.h"

namespace mynah {

using namespace virtio::pci;

namespace {

// Where the structures lie in BAR 4, each on a page of its own.
constexpr unsigned kLegacyBar = 0, kBar = 4, kMsixBar = 1;
constexpr uint32_t kLegacyBarSize = 128;  // the longest device configuration behind the registers
constexpr uint32_t kCommonAt = 0, kIsrAt = 0x1000, kDeviceAt = 0x2000, kNotifyAt = 0x3000;
constexpr uint32_t kPage = 0x1000, kBarSize = 0x4000;
constexpr uint32_t kNotifyStride = 4;  // bytes from one queue's bell to the next
constexpr unsigned kMostVectors = 64;
constexpr uint32_t kMsixTable = 0, kMsixPending = 0x800, kMsixBarSize = 0x1000;

using Name = VirtioRegisters::Name;

PciIdentity identity_of(const VirtioDevice& device, uint32_t class_code,
                        VirtioPci::Interface interface) {
    if (interface == VirtioPci::Interface::kTransitional) {
        // Its type is the subsystem [virtio-1.2 4.1.2.2].
        const uint16_t id = transitional_id(device.device_id());
        CHECK(id != 0);
        return {.vendor = kVendor,
                .device = id,
                .class_code = class_code,
                .revision = kTransitionalRevision,
                .subsystem_vendor = kVendor,
                .subsystem = static_cast<uint16_t>(device.device_id())};
    }
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

// Which of the registers of every transport lies here; kNone: it is the transport's own, or none.
Name common_name(uint64_t offset) {
    switch (offset) {
        case kDeviceFeatureSelect:
            return Name::kDeviceFeatureSelect;
        case kDeviceFeature:
            return Name::kDeviceFeature;
        case kDriverFeatureSelect:
            return Name::kDriverFeatureSelect;
        case kDriverFeature:
            return Name::kDriverFeature;
        case kNumQueues:
            return Name::kQueueCount;
        case kDeviceStatus:
            return Name::kStatus;
        case kConfigGeneration:
            return Name::kConfigGeneration;
        case kQueueSelect:
            return Name::kQueueSelect;
        case kQueueSize:
            return Name::kQueueSize;
        case kQueueEnable:
            return Name::kQueueEnable;
        case kQueueDescLow:
            return Name::kDescriptorsLow;
        case kQueueDescHigh:
            return Name::kDescriptorsHigh;
        case kQueueDriverLow:
            return Name::kDriverAreaLow;
        case kQueueDriverHigh:
            return Name::kDriverAreaHigh;
        case kQueueDeviceLow:
            return Name::kDeviceAreaLow;
        case kQueueDeviceHigh:
            return Name::kDeviceAreaHigh;
        case kQueueReset:
            return Name::kQueueReset;
        default:
            return Name::kNone;
    }
}

// What the BAR with the MSI-X table has besides: nothing.
class Nothing final : public IoHandler {
    uint64_t read(uint64_t, unsigned) override { return 0; }
    void write(uint64_t, unsigned, uint64_t) override {}
};
Nothing nothing;

}  // namespace

VirtioPci::VirtioPci(VirtioDevice& device, const PciAttachment& attachment, uint32_t class_code,
                     Interface interface)
    : function_(attachment, identity_of(device, class_code, interface)),
      line_(function_),
      isr_(line_),
      vectors_(std::min<unsigned>(device.queue_count() + 1u, kMostVectors)),
      config_vector_(kNoVector),
      queue_vectors_(device.queue_count()),
      session_(device, function_.dma(), *this),
      registers_(session_) {
    reset_vectors();
    lay_out(interface);
}

void VirtioPci::lay_out(Interface interface) {
    function_.add_express(PciFunction::Express::kIntegrated);
    if (interface == Interface::kTransitional)
        function_.add_bar(kLegacyBar, PciFunction::Bar::kIo, kLegacyBarSize, legacy_ports_);
    function_.add_bar(kMsixBar, PciFunction::Bar::kMemory32, kMsixBarSize, nothing);
    function_.add_bar(kBar, PciFunction::Bar::kPrefetchable64, kBarSize, *this);
    std::vector<Bell> bells, legacy_bells;
    for (uint16_t queue = 0; queue < session_.queue_count(); ++queue) {
        const uint64_t bell = kNotifyAt + uint64_t{kNotifyStride} * queue;
        if (bell < kBarSize) bells.push_back({.offset = bell, .value = std::nullopt});
        legacy_bells.push_back({.offset = kLegacyQueueNotify, .size = 2, .value = queue});
    }
    function_.add_bells(kBar, std::move(bells));
    if (interface == Interface::kTransitional)
        function_.add_bells(kLegacyBar, std::move(legacy_bells));
    function_.add_msix(vectors_, kMsixBar, kMsixTable, kMsixPending);
    add_structure(CapabilityType::kCommon, kCommonAt, kCommonSize);
    add_structure(CapabilityType::kIsr, kIsrAt, 1);
    add_structure(CapabilityType::kDevice, kDeviceAt, kPage);
    add_structure(CapabilityType::kNotify, kNotifyAt, kPage);
    window_ = add_structure(CapabilityType::kPciConfig, 0, 0);
    function_.on_config_read([this](unsigned at, unsigned size) { read_window(at, size); });
    function_.on_config_write([this](unsigned at, unsigned size) { write_window(at, size); });
}

unsigned VirtioPci::add_structure(CapabilityType type, uint32_t offset, uint32_t size) {
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
    return function_.add_capability(kVendorSpecific, std::move(body), std::move(writable));
}

// --- Access through configuration space [virtio-1.2 4.1.4.9]: the driver writes BAR, offset and
// length into the capability, and each access to its data field is one to that place.

namespace {
constexpr unsigned kWindowBar = 4, kWindowOffset = 8, kWindowLength = 12, kWindowData = 16;
}

// If these bytes of configuration space touch the data field: where the access goes in BAR 4.
std::optional<VirtioPci::WindowAccess> VirtioPci::window_access(unsigned offset,
                                                                unsigned size) const {
    const unsigned data = window_ + kWindowData;
    if (offset + size <= data || offset >= data + 4) return std::nullopt;
    const uint32_t length = function_.peek_config(window_ + kWindowLength, 4);
    const uint32_t place = function_.peek_config(window_ + kWindowOffset, 4);
    if (function_.peek_config(window_ + kWindowBar, 1) != kBar) return std::nullopt;
    // [virtio-1.2 4.1.4.9.1]: 1, 2 or 4 bytes, aligned, within the structure.
    if (length != 1 && length != 2 && length != 4) return std::nullopt;
    if (place % length != 0 || place > kBarSize - length) return std::nullopt;
    return WindowAccess{place, length};
}

void VirtioPci::read_window(unsigned offset, unsigned size) {
    const auto to = window_access(offset, size);
    if (!to) return;
    const auto value = static_cast<uint32_t>(read(to->place, to->length));
    function_.store_config(window_ + kWindowData, 4, value);
}

void VirtioPci::write_window(unsigned offset, unsigned size) {
    const auto to = window_access(offset, size);
    if (!to) return;
    write(to->place, to->length, function_.peek_config(window_ + kWindowData, to->length));
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
        case kIsrAt:
            return within == 0 ? take_isr() : 0;
        case kDeviceAt:
            return session_.read_config(within, size);
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
                write(offset, 4, static_cast<uint32_t>(value));
                write(offset + 4, 4, value >> 32);
            } else if (common_width(within) == size) {
                write_common(within, static_cast<uint32_t>(value));
            } else if (complaints_.allow()) {
                log(LogLevel::kWarning, "virtio-pci: write of {} bytes at {:#x} dropped", size,
                    offset);
            }
            return;
        case kDeviceAt:
            session_.write_config(within, size, value);
            return;
        case kNotifyAt:
            session_.notify(static_cast<uint16_t>(within / kNotifyStride));
            return;
        default:
            return;
    }
}

uint64_t VirtioPci::read_common(uint64_t offset) {
    const uint16_t queue = registers_.selected_queue();
    switch (offset) {
        case kConfigMsixVector:
            return config_vector_;
        case kQueueMsixVector:
            return queue < queue_vectors_.size() ? queue_vectors_[queue].load() : kNoVector;
        case kQueueNotifyOff:
            return queue;
        default:
            return registers_.read(common_name(offset));
    }
}

void VirtioPci::write_common(uint64_t offset, uint32_t value) {
    switch (offset) {
        case kConfigMsixVector:
            set_vector(config_vector_, value);
            return;
        case kDeviceStatus:
            write_status(value);
            return;
        case kQueueMsixVector:
            if (const uint16_t queue = registers_.selected_queue(); queue < queue_vectors_.size())
                set_vector(queue_vectors_[queue], value);
            return;
        case kQueueEnable:
            // The driver never writes 0 [virtio-1.2 4.1.4.3.2]. A size it did not write is the one
            // it read.
            if (value == 0) return;
            registers_.write(Name::kQueueSize, registers_.read(Name::kQueueSize));
            registers_.write(Name::kQueueEnable, 1);
            return;
        default:
            registers_.write(common_name(offset), value);
            return;
    }
}

// A vector that is not there reads back as none, by which the driver knows [virtio-1.2 4.1.5.1.2].
void VirtioPci::set_vector(std::atomic<uint16_t>& vector, uint32_t value) {
    vector = value < vectors_ ? static_cast<uint16_t>(value) : kNoVector;
}

void VirtioPci::write_status(uint32_t value) {
    registers_.write(Name::kStatus, value);
    if ((value & 0xff) == 0) reset_vectors();
}

void VirtioPci::reset_vectors() {
    config_vector_ = kNoVector;
    for (auto& vector : queue_vectors_) vector = kNoVector;
}

// Reading clears [virtio-1.2 4.1.4.5].
uint32_t VirtioPci::take_isr() {
    const uint32_t bits = isr_.bits();
    isr_.acknowledge(bits);
    return bits;
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
