#pragma once

#include <cstddef>
#include <cstdint>

// The file system device [virtio-1.2 5.11].
namespace mynah::virtio::fs {

// Queues without notifications [virtio-1.2 5.11.2].
inline constexpr uint16_t kHighPriorityQueue = 0, kFirstRequestQueue = 1;

inline constexpr size_t kTagBytes = 36;

// struct virtio_fs_config [virtio-1.2 5.11.4], little-endian.
struct Config {
    char tag[kTagBytes];  // padded with zeroes, which a tag of full length has none of
    uint32_t request_queues;
    uint32_t notify_buffer_size;
};
static_assert(sizeof(Config) == 44);

}  // namespace mynah::virtio::fs
