#include "device/usb/usb_description.h"

#include <algorithm>

#include "spec/usb/usb.h"

namespace mynah {
namespace {

constexpr uint8_t kManufacturerString = 1, kNameString = 2, kSerialString = 3;
constexpr uint16_t kEnglish = 0x0409;

void put16(std::vector<uint8_t>& to, uint16_t value) {
    to.push_back(static_cast<uint8_t>(value));
    to.push_back(static_cast<uint8_t>(value >> 8));
}
void put(std::vector<uint8_t>& to, std::initializer_list<uint8_t> bytes) {
    to.insert(to.end(), bytes);
}

bool knows(const UsbDescription& of, UsbSpeed speed) { return (of.speeds & speed_bit(speed)) != 0; }

// bcdUSB. A device that can do more says 2.10 at the speeds of USB 2, so that the host asks for
// its BOS [USB 3.2 9.6.1].
uint16_t usb_release(const UsbDescription& of, UsbSpeed speed) {
    if (speed == UsbSpeed::kSuper) return 0x0300;
    if (knows(of, UsbSpeed::kSuper)) return 0x0210;
    return speed == UsbSpeed::kLow ? 0x0110 : 0x0200;
}

uint8_t string_index(const std::string& text, uint8_t index) { return text.empty() ? 0 : index; }

void put_endpoint(std::vector<uint8_t>& to, const UsbEndpointDescription& endpoint,
                  UsbSpeed speed) {
    const auto at = static_cast<unsigned>(speed);
    put(to, {7, usb::kDescriptorEndpoint, endpoint.address, static_cast<uint8_t>(endpoint.type)});
    put16(to, endpoint.packet_size[at]);
    to.push_back(endpoint.interval[at]);
    if (speed != UsbSpeed::kSuper) return;
    // [USB 3.2 9.6.7]; only periodic endpoints have bytes per interval.
    put(to, {6, usb::kDescriptorEndpointCompanion, endpoint.burst, 0});
    const bool periodic = endpoint.type == UsbEndpointType::kInterrupt ||
                          endpoint.type == UsbEndpointType::kIsochronous;
    put16(to, periodic ? static_cast<uint16_t>(endpoint.packet_size[at] * (endpoint.burst + 1))
                       : uint16_t{0});
}

UsbSpeed other_speed(UsbSpeed speed) {
    return speed == UsbSpeed::kHigh ? UsbSpeed::kFull : UsbSpeed::kHigh;
}

}  // namespace

unsigned control_packet_size(UsbSpeed speed) {
    switch (speed) {
        case UsbSpeed::kLow:
            return 8;
        case UsbSpeed::kFull:
        case UsbSpeed::kHigh:
            return 64;
        case UsbSpeed::kSuper:
            break;
    }
    return 512;
}

std::vector<uint8_t> device_descriptor(const UsbDescription& of, UsbSpeed speed) {
    std::vector<uint8_t> to{18, usb::kDescriptorDevice};
    put16(to, usb_release(of, speed));
    // At super speed the packet size is an exponent [USB 3.2 9.6.1].
    const uint8_t packet =
        speed == UsbSpeed::kSuper ? uint8_t{9} : static_cast<uint8_t>(control_packet_size(speed));
    put(to, {of.device_class, 0, of.device_protocol, packet});
    put16(to, of.vendor);
    put16(to, of.product);
    put16(to, of.release);
    put(to, {string_index(of.manufacturer, kManufacturerString), string_index(of.name, kNameString),
             string_index(of.serial, kSerialString), 1});
    return to;
}

std::vector<uint8_t> device_qualifier(const UsbDescription& of, UsbSpeed speed) {
    if (!knows(of, UsbSpeed::kHigh) || !knows(of, UsbSpeed::kFull)) return {};
    std::vector<uint8_t> to{10, usb::kDescriptorDeviceQualifier};
    put16(to, 0x0200);
    put(to, {of.device_class, 0, of.device_protocol,
             static_cast<uint8_t>(control_packet_size(other_speed(speed))), 1, 0});
    return to;
}

std::vector<uint8_t> configuration_descriptor(const UsbDescription& of, UsbSpeed speed,
                                              uint8_t type) {
    if (type == usb::kDescriptorOtherSpeed) {
        if (!knows(of, UsbSpeed::kHigh) || !knows(of, UsbSpeed::kFull)) return {};
        speed = other_speed(speed);
    }
    uint8_t attributes = usb::kConfigurationReserved;
    if (of.self_powered) attributes |= usb::kConfigurationSelfPowered;
    if (of.remote_wakeup) attributes |= usb::kConfigurationRemoteWakeup;
    const unsigned unit = speed == UsbSpeed::kSuper ? 8 : 2;  // milliamperes
    std::vector<uint8_t> to{
        9, type, 0, 0, 1, 1, 0, attributes, static_cast<uint8_t>(of.milliamperes / unit)};
    put(to, {9, usb::kDescriptorInterface, 0, 0, static_cast<uint8_t>(of.endpoints.size()),
             of.interface_class, of.interface_subclass, of.interface_protocol, 0});
    to.insert(to.end(), of.class_descriptor.begin(), of.class_descriptor.end());
    for (const UsbEndpointDescription& endpoint : of.endpoints) put_endpoint(to, endpoint, speed);
    to[2] = static_cast<uint8_t>(to.size());
    to[3] = static_cast<uint8_t>(to.size() >> 8);
    return to;
}

std::vector<uint8_t> string_descriptor(const UsbDescription& of, uint8_t index) {
    std::vector<uint8_t> to{0, usb::kDescriptorString};
    const std::string* text = nullptr;
    if (index == 0) put16(to, kEnglish);
    if (index == kManufacturerString) text = &of.manufacturer;
    if (index == kNameString) text = &of.name;
    if (index == kSerialString) text = &of.serial;
    if (index != 0 && (text == nullptr || text->empty())) return {};
    if (text != nullptr) {
        // The length has to fit into a byte.
        for (char c : text->substr(0, 126)) put16(to, static_cast<uint8_t>(c));
    }
    to[0] = static_cast<uint8_t>(to.size());
    return to;
}

std::vector<uint8_t> binary_object_store(const UsbDescription& of) {
    if (!knows(of, UsbSpeed::kSuper)) return {};
    std::vector<uint8_t> to{5, usb::kDescriptorBos, 0, 0, 2};
    // Link power management is understood [USB 2.0 LPM ECN 3].
    put(to, {7, usb::kDescriptorDeviceCapability, usb::kCapabilityUsb2Extension, 2, 0, 0, 0});
    uint16_t speeds = 0;
    for (unsigned speed = 0; speed < kUsbSpeeds; ++speed) {
        if ((of.speeds & 1u << speed) != 0) speeds |= static_cast<uint16_t>(1u << speed);
    }
    put(to, {10, usb::kDescriptorDeviceCapability, usb::kCapabilitySuperSpeed, 0});
    put16(to, speeds);
    const auto lowest = static_cast<uint8_t>(__builtin_ctz(speeds));
    constexpr uint8_t kU1ExitMicroseconds = 10, kU2ExitMicroseconds = 32;
    put(to, {lowest, kU1ExitMicroseconds, kU2ExitMicroseconds, 0});
    to[2] = static_cast<uint8_t>(to.size());
    return to;
}

}  // namespace mynah
