#include "device/usb/hid_device.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "spec/usb/hid.h"

namespace mynah {

using namespace usb::hid;

HidDevice::HidDevice(VmClock& clock, UsbDescription description,
                     std::vector<uint8_t> report_descriptor, unsigned report_size)
    : UsbDevice(describe(std::move(description), report_descriptor.size(),
                         static_cast<uint16_t>(report_size))),
      clock_(clock),
      report_descriptor_(std::move(report_descriptor)),
      idle_timer_(clock.create_timer([this] { wake(); })) {}

UsbDescription HidDevice::describe(UsbDescription base, size_t report_descriptor_size,
                                   uint16_t report_size) {
    base.manufacturer = "Mynah";
    base.interface_class = usb::kClassHid;
    base.remote_wakeup = true;
    // [HID 1.11 6.2.1], no country.
    base.class_descriptor = {9,
                             kDescriptorHid,
                             0x11,
                             0x01,
                             0,
                             1,
                             kDescriptorReport,
                             static_cast<uint8_t>(report_descriptor_size),
                             static_cast<uint8_t>(report_descriptor_size >> 8)};
    // Every 8 ms at low and full speed; 2^(7-1) microframes, which are as long, at the others.
    base.endpoints = {{usb::kEndpointIn | kEndpoint,
                       UsbEndpointType::kInterrupt,
                       {report_size, report_size, report_size, report_size},
                       {8, 8, 7, 7}}};
    return base;
}

bool HidDevice::boot_protocol() const {
    MutexLock lock(mutex_);
    return boot_protocol_;
}

bool HidDevice::has_driver() const {
    MutexLock lock(mutex_);
    return configured();
}

void HidDevice::do_reset() {
    boot_protocol_ = false;
    idle_rate_ = 0;
    last_report_ns_ = 0;
    forget();
}

bool HidDevice::idle_is_over() const {
    return idle_rate_ != 0 && clock_.now_ns() - last_report_ns_ >= idle_rate_ * kIdleUnitNs;
}

UsbReply HidDevice::do_in(uint8_t, std::span<std::byte> to) {
    auto report = next_report();
    if (!report && idle_is_over()) report = current_report();
    if (!report) {
        if (idle_rate_ != 0) idle_timer_->arm(last_report_ns_ + idle_rate_ * kIdleUnitNs);
        return {UsbStatus::kNak};
    }
    if (report->size() > to.size()) return {UsbStatus::kBabble};
    last_report_ns_ = clock_.now_ns();
    std::memcpy(to.data(), report->data(), report->size());
    return {UsbStatus::kOk, static_cast<uint32_t>(report->size())};
}

std::optional<std::vector<uint8_t>> HidDevice::do_request(const usb::Setup& setup,
                                                          std::span<const uint8_t> data) {
    constexpr uint8_t kToInterface = usb::kRecipientInterface;
    constexpr uint8_t kClass = usb::kRequestClass | kToInterface;
    if (static_cast<uint8_t>(setup.index) != 0) return std::nullopt;
    const auto low = static_cast<uint8_t>(setup.value);
    const auto high = static_cast<uint8_t>(setup.value >> 8);
    if (setup.request_type == (usb::kRequestIn | kToInterface)) {
        if (setup.request != usb::kGetDescriptor) return std::nullopt;
        if (high == kDescriptorReport) return report_descriptor_;
        if (high == kDescriptorHid) return description().class_descriptor;
        return std::nullopt;
    }
    if (setup.request_type == (usb::kRequestIn | kClass)) {
        switch (setup.request) {
            case kGetReport:
                if (high != kReportInput || low != 0) return std::nullopt;
                return current_report();
            case kGetIdle:
                return std::vector<uint8_t>{idle_rate_};
            case kGetProtocol:
                return std::vector<uint8_t>{static_cast<uint8_t>(boot_protocol_ ? 0 : 1)};
            default:
                return std::nullopt;
        }
    }
    if (setup.request_type != kClass) return std::nullopt;
    switch (setup.request) {
        case kSetReport:
            if (high != kReportOutput || low != 0 || !takes_output()) return std::nullopt;
            do_output_report(data);
            return std::vector<uint8_t>{};
        case kSetIdle:
            idle_rate_ = high;
            last_report_ns_ = clock_.now_ns();
            return std::vector<uint8_t>{};
        case kSetProtocol:
            if (description().interface_subclass != kSubclassBoot || setup.value > 1) {
                return std::nullopt;
            }
            boot_protocol_ = setup.value == 0;
            return std::vector<uint8_t>{};
        default:
            return std::nullopt;
    }
}

}  // namespace mynah
