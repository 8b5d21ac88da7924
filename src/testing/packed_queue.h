#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "spec/virtio/packed_ring.h"
#include "testing/virtio_driver.h"

namespace mynah::testing {

// The driver's side of a packed virtqueue [virtio-1.2 2.8]. Correct; for negative tests the ring
// can be written directly.
class GuestPackedQueue {
  public:
    GuestPackedQueue(GuestAllocator& allocator, uint16_t size);

    uint16_t size() const { return size_; }
    GuestPhys descriptors() const { return descriptors_; }
    GuestPhys driver_area() const { return driver_; }
    GuestPhys device_area() const { return device_; }

    // Makes a chain available under a buffer id of the caller's choice; false: no room.
    bool add(std::span<const GuestBuffer> buffers, uint16_t id, bool indirect = false);
    // The next used buffer: its id and the length the device says.
    std::optional<virtio::UsedElement> take_used();
    // Whether the device wants to hear of what was added since the last call.
    bool needs_bell();
    // Interrupts: always, never, or when the device's place passes the given one.
    void set_events(uint16_t flags, uint16_t place = 0);
    // Where the next used descriptor will be, with the wrap counter in bit 15.
    uint16_t used_place() const {
        return static_cast<uint16_t>(next_used_ | (used_wrap_ ? virtio::kPlaceWrap : 0));
    }
    uint16_t room() const { return free_; }
    void write_descriptor(uint16_t index, const virtio::PackedDescriptor& descriptor);

  private:
    struct Out {
        uint16_t id, descriptors;
    };

    GuestAllocator& allocator_;
    GuestMemory& memory_;
    const uint16_t size_;
    GuestPhys descriptors_, driver_, device_;
    uint16_t next_ = 0, next_used_ = 0, free_;
    bool wrap_ = true, used_wrap_ = true;
    uint16_t added_ = 0;  // descriptors since needs_bell()
    std::vector<Out> out_;
};

}  // namespace mynah::testing
