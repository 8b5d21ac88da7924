#pragma once

#include <cstddef>
#include <cstdint>

#include "spec/virtio/split_ring.h"

// The packed virtqueue in memory, little-endian [virtio-1.2 2.8].
namespace mynah::virtio {

// struct pvirtq_desc [virtio-1.2 2.8.13]; the ring is 16-byte aligned. Flags NEXT, WRITE and
// INDIRECT are those of the split ring.
struct PackedDescriptor {
    uint64_t address;
    uint32_t length;
    uint16_t id;
    uint16_t flags;
};
static_assert(sizeof(PackedDescriptor) == 16);
inline constexpr uint64_t kPackedLength = offsetof(PackedDescriptor, length);
inline constexpr uint64_t kPackedFlags = offsetof(PackedDescriptor, flags);
inline constexpr uint16_t kDescAvailable = 1 << 7;
inline constexpr uint16_t kDescUsed = 1 << 15;

// struct pvirtq_event_suppress [virtio-1.2 2.8.14]; 4-byte aligned. The driver area says when the
// device is to interrupt, the device area when the driver is to ring.
struct EventSuppression {
    uint16_t place;  // offset in the ring; bit 15: wrap counter
    uint16_t flags;
};
static_assert(sizeof(EventSuppression) == 4);
inline constexpr uint16_t kEventsOn = 0, kEventsOff = 1, kEventsAtPlace = 2, kEventsMask = 3;
inline constexpr uint16_t kPlaceWrap = 1 << 15;

}  // namespace mynah::virtio
