#pragma once

#include <cstdint>

// Memory that is plugged in and out [virtio-1.2 5.15].
namespace mynah::virtio::mem {

inline constexpr uint16_t kRequestQueue = 0;

// struct virtio_mem_config [virtio-1.2 5.15.4].
struct Config {
    uint64_t block_size;
    uint16_t node;  // with ACPI_PXM, which is not offered
    uint8_t padding[6];
    uint64_t address;
    uint64_t region_size;
    uint64_t usable_region_size;
    uint64_t plugged_size;
    uint64_t requested_size;
};
static_assert(sizeof(Config) == 56);

// [virtio-1.2 5.15.6]
enum class RequestType : uint16_t { kPlug = 0, kUnplug = 1, kUnplugAll = 2, kState = 3 };
struct Request {
    uint16_t type;
    uint16_t padding[3];
    uint64_t address;
    uint16_t blocks;
    uint16_t more_padding[3];
};
static_assert(sizeof(Request) == 24);

enum class ResponseType : uint16_t { kAck = 0, kNack = 1, kBusy = 2, kError = 3 };
enum class State : uint16_t { kPlugged = 0, kUnplugged = 1, kMixed = 2 };
struct Response {
    uint16_t type;
    uint16_t padding[3];
    uint16_t state;
};
static_assert(sizeof(Response) == 10);

}  // namespace mynah::virtio::mem
