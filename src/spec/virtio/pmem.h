#pragma once

#include <cstdint>

// Persistent memory [virtio-1.2 5.19].
namespace mynah::virtio::pmem {

inline constexpr uint16_t kRequestQueue = 0;

// struct virtio_pmem_config [virtio-1.2 5.19.4].
struct Config {
    uint64_t start;  // guest-physical address
    uint64_t size;   // bytes
};
static_assert(sizeof(Config) == 16);

inline constexpr uint32_t kFlush = 0;              // [virtio-1.2 5.19.6]
inline constexpr uint32_t kDone = 0, kFailed = 1;  // [virtio-1.2 5.19.7]

}  // namespace mynah::virtio::pmem
