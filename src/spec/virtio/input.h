#pragma once

#include <cstdint>

// The input device [virtio-1.2 5.8]: Linux' input events over virtio.
namespace mynah::virtio::input {

// Queues [virtio-1.2 5.8.2].
inline constexpr uint16_t kEventQueue = 0, kStatusQueue = 1;

// struct virtio_input_event [virtio-1.2 5.8.6]; type, code and value as in
// linux/input-event-codes.h.
struct Event {
    uint16_t type;
    uint16_t code;
    uint32_t value;
};
static_assert(sizeof(Event) == 8);

// What the driver selects in the configuration [virtio-1.2 5.8.5.1].
inline constexpr uint8_t kUnset = 0, kIdName = 1, kIdSerial = 2, kIdDevice = 3, kProperties = 0x10,
                         kEventBits = 0x11, kAbsoluteInfo = 0x12;

// struct virtio_input_config [virtio-1.2 5.8.5].
struct Config {
    uint8_t select;
    uint8_t subselect;
    uint8_t size;
    uint8_t reserved[5];
    uint8_t data[128];
};
static_assert(sizeof(Config) == 136);

struct DeviceId {
    uint16_t bus, vendor, product, version;
};
struct AbsoluteInfo {
    uint32_t minimum, maximum, fuzz, flat, resolution;
};

}  // namespace mynah::virtio::input
