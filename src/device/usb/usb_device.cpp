#include "device/usb/usb_device.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace mynah {
namespace {

using Answer = std::optional<std::vector<uint8_t>>;

unsigned halt_bit(uint8_t address) {
    return (address & usb::kEndpointNumber) + ((address & usb::kEndpointIn) != 0 ? 16u : 0u);
}
Answer done() { return std::vector<uint8_t>{}; }
Answer status(uint16_t value) {
    return std::vector<uint8_t>{static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)};
}

}  // namespace

UsbDevice::UsbDevice(UsbDescription description) : description_(std::move(description)) {}

UsbDevice::~UsbDevice() {
    MutexLock lock(host_lock_);
    CHECK(host_ == nullptr);
}

void UsbDevice::plug(UsbHost& host) {
    MutexLock lock(host_lock_);
    CHECK(host_ == nullptr);
    host_ = &host;
}

void UsbDevice::connect(UsbSpeed speed) {
    CHECK(supports(speed));
    MutexLock lock(mutex_);
    connected_ = true;
    speed_ = speed;
    reset_state();
}

void UsbDevice::disconnect() {
    MutexLock lock(mutex_);
    connected_ = false;
    reset_state();
}

void UsbDevice::unplug() {
    disconnect();
    host_lock_.lock();
    host_ = nullptr;
    while (waking_ != 0) host_left_.wait(host_lock_);
    host_lock_.unlock();
}

void UsbDevice::wake_host(uint8_t endpoint_address) {
    UsbHost* host;
    {
        MutexLock lock(host_lock_);
        host = host_;
        if (host == nullptr) return;
        ++waking_;
    }
    host->wake(*this, endpoint_address);
    MutexLock lock(host_lock_);
    if (--waking_ == 0) host_left_.notify_all();
}

void UsbDevice::reset_state() {
    address_ = 0;
    configuration_ = 0;
    features_ = 0;
    halted_ = 0;
    stage_ = ControlStage::kIdle;
    do_reset();
}

void UsbDevice::bus_reset() {
    MutexLock lock(mutex_);
    reset_state();
}

uint8_t UsbDevice::address() const {
    MutexLock lock(mutex_);
    return address_;
}

UsbSpeed UsbDevice::speed() const {
    MutexLock lock(mutex_);
    return speed_;
}

bool UsbDevice::remote_wakeup_enabled() const {
    MutexLock lock(mutex_);
    return (features_ & usb::kStatusRemoteWakeup) != 0;
}

void UsbDevice::halt(uint8_t endpoint_address) { halted_ |= 1u << halt_bit(endpoint_address); }

bool UsbDevice::halted(uint8_t endpoint_address) const {
    return (halted_ & 1u << halt_bit(endpoint_address)) != 0;
}

const UsbEndpointDescription* UsbDevice::find_endpoint(uint8_t address) const {
    for (const UsbEndpointDescription& endpoint : description_.endpoints) {
        if (endpoint.address == address) return &endpoint;
    }
    return nullptr;
}

unsigned UsbDevice::packet_size(uint8_t endpoint_address) const {
    const UsbEndpointDescription* endpoint = find_endpoint(endpoint_address);
    CHECK(endpoint != nullptr);
    return std::max<unsigned>(endpoint->packet_size[static_cast<unsigned>(speed_)], 1);
}

UsbReply UsbDevice::do_in(uint8_t, std::span<std::byte>) { return {UsbStatus::kNak}; }
UsbReply UsbDevice::do_out(uint8_t, std::span<const std::byte>) { return {UsbStatus::kNak}; }

// A setup transaction always succeeds and ends whatever control transfer was under way
// [USB 2.0 8.5.3].
UsbReply UsbDevice::setup(const usb::Setup& setup) {
    MutexLock lock(mutex_);
    if (!connected_) return {UsbStatus::kError};
    setup_ = setup;
    control_data_.clear();
    control_done_ = 0;
    const bool to_host = (setup.request_type & usb::kRequestIn) != 0;
    if (setup.length != 0 && !to_host) {
        stage_ = setup.length > kMaxControlData ? ControlStage::kStalled : ControlStage::kDataOut;
        return {UsbStatus::kOk, sizeof setup};
    }
    if (setup.length == 0) {
        stage_ = ControlStage::kStatusIn;  // the request is carried out there
        return {UsbStatus::kOk, sizeof setup};
    }
    Answer answer = request(setup, {});
    if (!answer) {
        stage_ = ControlStage::kStalled;
        return {UsbStatus::kOk, sizeof setup};
    }
    control_data_ = std::move(*answer);
    if (control_data_.size() > setup.length) control_data_.resize(setup.length);
    stage_ = ControlStage::kDataIn;
    return {UsbStatus::kOk, sizeof setup};
}

UsbReply UsbDevice::control_in(std::span<std::byte> to) {
    if (stage_ == ControlStage::kDataIn) {
        const size_t size = std::min(to.size(), control_data_.size() - control_done_);
        if (size > 0) std::memcpy(to.data(), control_data_.data() + control_done_, size);
        control_done_ += size;
        const bool ends = size % control_packet_size(speed_) != 0 || size < to.size();
        return {UsbStatus::kOk, static_cast<uint32_t>(size), ends};
    }
    if (stage_ != ControlStage::kStatusIn) return {UsbStatus::kStall};
    stage_ = ControlStage::kIdle;
    if (!request(setup_, control_data_)) {
        stage_ = ControlStage::kStalled;
        return {UsbStatus::kStall};
    }
    return {UsbStatus::kOk, 0, true};
}

UsbReply UsbDevice::control_out(std::span<const std::byte> from) {
    if (stage_ == ControlStage::kDataOut) {
        const size_t room = setup_.length - control_data_.size();
        if (from.size() > room) {
            stage_ = ControlStage::kStalled;
            return {UsbStatus::kStall};
        }
        const auto* bytes = reinterpret_cast<const uint8_t*>(from.data());
        control_data_.insert(control_data_.end(), bytes, bytes + from.size());
        if (control_data_.size() == setup_.length) stage_ = ControlStage::kStatusIn;
        return {UsbStatus::kOk, static_cast<uint32_t>(from.size())};
    }
    // The status of a transfer to the host may come before the host has read everything.
    if (stage_ != ControlStage::kDataIn) return {UsbStatus::kStall};
    stage_ = ControlStage::kIdle;
    return {UsbStatus::kOk, static_cast<uint32_t>(from.size())};
}

UsbReply UsbDevice::in(uint8_t endpoint, std::span<std::byte> to) {
    MutexLock lock(mutex_);
    if (!connected_) return {UsbStatus::kError};
    if (endpoint == 0) return control_in(to);
    const uint8_t address = endpoint | usb::kEndpointIn;
    if (find_endpoint(address) == nullptr || !configured()) return {UsbStatus::kError};
    if (halted(address)) return {UsbStatus::kStall};
    UsbReply reply = do_in(endpoint, to);
    if (reply.status == UsbStatus::kOk) {
        CHECK(reply.size <= to.size());
        reply.short_packet = reply.size == 0 || reply.size % packet_size(address) != 0;
    }
    return reply;
}

UsbReply UsbDevice::out(uint8_t endpoint, std::span<const std::byte> from) {
    MutexLock lock(mutex_);
    if (!connected_) return {UsbStatus::kError};
    if (endpoint == 0) return control_out(from);
    if (find_endpoint(endpoint) == nullptr || !configured()) return {UsbStatus::kError};
    if (halted(endpoint)) return {UsbStatus::kStall};
    return do_out(endpoint, from);
}

std::vector<uint8_t> UsbDevice::descriptor(const usb::Setup& setup) const {
    const auto index = static_cast<uint8_t>(setup.value);
    switch (setup.value >> 8) {
        case usb::kDescriptorDevice:
            return device_descriptor(description_, speed_);
        case usb::kDescriptorConfiguration:
            if (index != 0) return {};
            return configuration_descriptor(description_, speed_, usb::kDescriptorConfiguration);
        case usb::kDescriptorOtherSpeed:
            if (index != 0 || speed_ == UsbSpeed::kSuper) return {};
            return configuration_descriptor(description_, speed_, usb::kDescriptorOtherSpeed);
        case usb::kDescriptorDeviceQualifier:
            if (speed_ == UsbSpeed::kSuper) return {};
            return device_qualifier(description_, speed_);
        case usb::kDescriptorString:
            return string_descriptor(description_, index);
        case usb::kDescriptorBos:
            return binary_object_store(description_);
        default:
            return {};
    }
}

Answer UsbDevice::request(const usb::Setup& setup, std::span<const uint8_t> data) {
    Answer answer;
    if ((setup.request_type & usb::kRequestTypeMask) == usb::kRequestStandard) {
        switch (setup.request_type & usb::kRecipientMask) {
            case usb::kRecipientDevice:
                answer = device_request(setup);
                break;
            case usb::kRecipientInterface:
                answer = interface_request(setup);
                break;
            case usb::kRecipientEndpoint:
                answer = endpoint_request(setup);
                break;
            default:
                break;
        }
    }
    return answer ? answer : do_request(setup, data);
}

Answer UsbDevice::device_request(const usb::Setup& setup) {
    switch (setup.request) {
        case usb::kGetStatus:
            return status(features_ | (description_.self_powered ? usb::kStatusSelfPowered : 0));
        case usb::kClearFeature:
        case usb::kSetFeature:
            if (!set_device_feature(setup.value, setup.request == usb::kSetFeature)) return {};
            return done();
        case usb::kSetAddress:
            if (setup.value > 127) return {};
            address_ = static_cast<uint8_t>(setup.value);
            return done();
        case usb::kGetDescriptor: {
            std::vector<uint8_t> bytes = descriptor(setup);
            if (bytes.empty()) return {};
            return bytes;
        }
        case usb::kGetConfiguration:
            return std::vector<uint8_t>{configuration_};
        case usb::kSetConfiguration:
            if (setup.value > 1) return {};
            configuration_ = static_cast<uint8_t>(setup.value);
            halted_ = 0;
            do_configured();
            return done();
        case usb::kSetSel:
        case usb::kSetIsochDelay:
            if (speed_ != UsbSpeed::kSuper) return {};
            return done();
        default:
            return {};
    }
}

bool UsbDevice::set_device_feature(uint16_t feature, bool on) {
    uint16_t bits = 0;
    const bool super = speed_ == UsbSpeed::kSuper;
    if (feature == usb::kFeatureRemoteWakeup && description_.remote_wakeup && !super) {
        bits = usb::kStatusRemoteWakeup;
    }
    if (feature == usb::kFeatureU1Enable && super) bits = usb::kStatusU1Enable;
    if (feature == usb::kFeatureU2Enable && super) bits = usb::kStatusU2Enable;
    if (bits == 0) return false;
    features_ = static_cast<uint16_t>(on ? features_ | bits : features_ & ~bits);
    return true;
}

Answer UsbDevice::interface_request(const usb::Setup& setup) {
    if (static_cast<uint8_t>(setup.index) != 0 || !configured()) return {};
    switch (setup.request) {
        case usb::kGetStatus:
            return status(speed_ == UsbSpeed::kSuper && description_.remote_wakeup ? 1 : 0);
        case usb::kGetInterface:
            return std::vector<uint8_t>{0};
        case usb::kSetInterface:
            if (setup.value != 0) return {};
            halted_ = 0;
            return done();
        case usb::kClearFeature:
        case usb::kSetFeature:
            // Function suspend exists at super speed only [USB 3.2 9.4.9].
            if (speed_ != UsbSpeed::kSuper || setup.value != usb::kFeatureFunctionSuspend) {
                return {};
            }
            return done();
        default:
            return {};
    }
}

Answer UsbDevice::endpoint_request(const usb::Setup& setup) {
    const auto address = static_cast<uint8_t>(setup.index);
    const bool control = (address & usb::kEndpointNumber) == 0;
    if (!control && (find_endpoint(address) == nullptr || !configured())) return {};
    switch (setup.request) {
        case usb::kGetStatus:
            return status(!control && halted(address) ? 1 : 0);
        case usb::kClearFeature:
            if (setup.value != usb::kFeatureEndpointHalt) return {};
            halted_ &= ~(1u << halt_bit(address));
            if (!control) do_halt_cleared(address);
            return done();
        case usb::kSetFeature:
            if (setup.value != usb::kFeatureEndpointHalt) return {};
            if (!control) halt(address);
            return done();
        default:
            return {};
    }
}

}  // namespace mynah
