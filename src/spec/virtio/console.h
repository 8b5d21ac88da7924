#pragma once

#include <cstdint>

#include "base/bits.h"

// The console device [virtio-1.2 5.3].
namespace mynah::virtio::console {

// Feature bits [virtio-1.2 5.3.3].
inline constexpr uint64_t kFeatureSize = bit(0);
inline constexpr uint64_t kFeatureMultiport = bit(1);
inline constexpr uint64_t kFeatureEmergencyWrite = bit(2);

// struct virtio_console_config [virtio-1.2 5.3.4].
struct Config {
    uint16_t columns;
    uint16_t rows;
    uint32_t max_ports;
    uint32_t emergency_write;
};
static_assert(sizeof(Config) == 12);

// Queues [virtio-1.2 5.3.2]: two of port 0, two for control messages, then two of each port.
inline constexpr uint16_t kControlReceiveQueue = 2, kControlTransmitQueue = 3;
constexpr uint16_t receive_queue(unsigned port) {
    return static_cast<uint16_t>(port == 0 ? 0 : 2 + 2 * port);
}

// struct virtio_console_control [virtio-1.2 5.3.6.2].
struct Control {
    uint32_t port;
    uint16_t event;
    uint16_t value;
};
static_assert(sizeof(Control) == 8);
inline constexpr uint16_t kDeviceReady = 0, kPortAdd = 1, kPortRemove = 2, kPortReady = 3,
                          kConsolePort = 4, kResize = 5, kPortOpen = 6, kPortName = 7;

}  // namespace mynah::virtio::console
