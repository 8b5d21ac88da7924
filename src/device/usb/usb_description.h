#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace mynah {

// How fast a device and its port talk [USB 2.0 5.3; USB 3.2 3].
enum class UsbSpeed : uint8_t { kLow, kFull, kHigh, kSuper };
inline constexpr unsigned kUsbSpeeds = 4;
constexpr uint8_t speed_bit(UsbSpeed speed) { return uint8_t(1u << static_cast<unsigned>(speed)); }

// The values are those of bmAttributes in an endpoint descriptor.
enum class UsbEndpointType : uint8_t { kControl, kIsochronous, kBulk, kInterrupt };

// An endpoint beside the control endpoint. What depends on the speed is indexed by UsbSpeed.
struct UsbEndpointDescription {
    uint8_t address;  // with the direction in bit 7
    UsbEndpointType type;
    std::array<uint16_t, kUsbSpeeds> packet_size;
    std::array<uint8_t, kUsbSpeeds> interval{};  // bInterval
    uint8_t burst = 0;                           // bMaxBurst at super speed
};

// What a device says it is: everything its descriptors are made of. One configuration with one
// interface, which is all that the devices here need.
struct UsbDescription {
    uint16_t vendor = 0;
    uint16_t product = 0;
    uint16_t release = 0x0100;  // binary coded decimal
    uint8_t device_class = 0;   // 0: the interface says
    uint8_t device_protocol = 0;
    uint8_t interface_class = 0;
    uint8_t interface_subclass = 0;
    uint8_t interface_protocol = 0;
    uint8_t speeds = speed_bit(UsbSpeed::kFull);  // speed_bit()s
    bool remote_wakeup = false;
    bool self_powered = false;
    uint16_t milliamperes = 100;
    std::string manufacturer, name, serial;  // ASCII; an empty one has no descriptor
    std::vector<uint8_t> class_descriptor;   // follows the interface descriptor
    std::vector<UsbEndpointDescription> endpoints;
};

// Size of the packets of the control endpoint, in bytes.
unsigned control_packet_size(UsbSpeed speed);

// The descriptors in the bytes the host reads [USB 2.0 9.6; USB 3.2 9.6].
std::vector<uint8_t> device_descriptor(const UsbDescription& of, UsbSpeed speed);
// What the device would say at its other speed (of full and high); empty if there is none.
std::vector<uint8_t> device_qualifier(const UsbDescription& of, UsbSpeed speed);
// The configuration with all that belongs to it; type: configuration or other speed.
std::vector<uint8_t> configuration_descriptor(const UsbDescription& of, UsbSpeed speed,
                                              uint8_t type);
// Empty: there is no such string.
std::vector<uint8_t> string_descriptor(const UsbDescription& of, uint8_t index);
// Binary object store; empty for devices that know no USB beyond 2.0.
std::vector<uint8_t> binary_object_store(const UsbDescription& of);

}  // namespace mynah
