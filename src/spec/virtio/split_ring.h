#pragma once

#include <cstdint>

// The split virtqueue in memory, little-endian [virtio-1.2 2.7].
namespace mynah::virtio {

inline constexpr uint32_t kMaxQueueSize = 32768;  // [virtio-1.2 2.7]

// struct virtq_desc [virtio-1.2 2.7.5]; the table is 16-byte aligned.
struct Descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};
static_assert(sizeof(Descriptor) == 16);
inline constexpr uint16_t kDescNext = 1;
inline constexpr uint16_t kDescWrite = 2;
inline constexpr uint16_t kDescIndirect = 4;

// struct virtq_avail [virtio-1.2 2.7.6]: flags, idx, ring[size], used_event; 2-byte aligned.
inline constexpr uint64_t kAvailFlags = 0;
inline constexpr uint64_t kAvailIdx = 2;
inline constexpr uint64_t kAvailRing = 4;
inline constexpr uint16_t kAvailNoInterrupt = 1;
constexpr uint64_t avail_entry(uint16_t slot) { return kAvailRing + 2 * uint64_t{slot}; }
constexpr uint64_t used_event(uint32_t size) { return kAvailRing + 2 * uint64_t{size}; }
constexpr uint64_t avail_bytes(uint32_t size) { return used_event(size) + 2; }

// struct virtq_used [virtio-1.2 2.7.8]: flags, idx, ring[size], avail_event; 4-byte aligned.
struct UsedElement {
    uint32_t id;
    uint32_t length;
};
static_assert(sizeof(UsedElement) == 8);
inline constexpr uint64_t kUsedFlags = 0;
inline constexpr uint64_t kUsedIdx = 2;
inline constexpr uint64_t kUsedRing = 4;
constexpr uint64_t used_entry(uint16_t slot) { return kUsedRing + 8 * uint64_t{slot}; }
constexpr uint64_t avail_event(uint32_t size) { return kUsedRing + 8 * uint64_t{size}; }
constexpr uint64_t used_bytes(uint32_t size) { return avail_event(size) + 2; }

// Whether moving an index from `old_index` to `new_index` passes `event`: vring_need_event
// [virtio-1.2 2.7.10].
constexpr bool passes_event(uint16_t event, uint16_t new_index, uint16_t old_index) {
    return static_cast<uint16_t>(new_index - event - 1) <
           static_cast<uint16_t>(new_index - old_index);
}

}  // namespace mynah::virtio
