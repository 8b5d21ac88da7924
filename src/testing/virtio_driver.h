#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bus/io_handler.h"
#include "memory/guest_memory.h"
#include "spec/virtio/split_ring.h"

namespace mynah::testing {

// Hands out pieces of guest memory, never taking any back.
class GuestAllocator {
  public:
    explicit GuestAllocator(GuestMemory& memory, GuestPhys start) : memory_(memory), next_(start) {}
    GuestPhys take(uint64_t size, uint64_t alignment = 16);
    GuestMemory& memory() { return memory_; }

  private:
    GuestMemory& memory_;
    GuestPhys next_;
};

// One buffer of a chain.
struct GuestBuffer {
    GuestPhys address;
    uint32_t length;
    bool device_writes;
};

// The driver's side of a split virtqueue [virtio-1.2 2.7]. Correct unless told otherwise: for
// negative tests the rings can be written directly.
class GuestQueue {
  public:
    // alignment: of the table and the used ring, as legacy devices want it; 0: what must be.
    GuestQueue(GuestAllocator& allocator, uint16_t size, bool event_index, uint64_t alignment = 0);

    uint16_t size() const { return size_; }
    GuestPhys descriptors() const { return descriptors_; }
    GuestPhys available() const { return available_; }
    GuestPhys used() const { return used_; }

    // Makes a chain available and returns its head; indirect: through a table of its own.
    uint16_t add(std::span<const GuestBuffer> buffers, bool indirect = false);
    // Makes an entry available that names any head, and descriptors of any content.
    void add_head(uint16_t head);
    void write_descriptor(uint16_t index, const virtio::Descriptor& descriptor);
    void set_available_index(uint16_t index);
    // Whether the device wants to hear of what was added since the last call.
    bool needs_bell();

    // The next used element, oldest first.
    std::optional<virtio::UsedElement> take_used();
    uint16_t used_index() const;
    uint16_t used_flags() const;
    uint16_t avail_event() const;
    // Asks for an interrupt when the element with this index is used (event index) or at all.
    void set_used_event(uint16_t index);
    void set_no_interrupt(bool on);

  private:
    uint16_t take_free();

    GuestAllocator& allocator_;
    GuestMemory& memory_;
    uint16_t size_;
    bool event_index_;
    GuestPhys descriptors_, available_, used_;
    uint16_t next_descriptor_ = 0;
    uint16_t next_available_ = 0;
    uint16_t announced_ = 0;
    uint16_t next_used_ = 0;
};

// A driver that talks to a device through the registers of the MMIO transport [virtio-1.2 4.2].
class VirtioDriver {
  public:
    VirtioDriver(IoHandler& registers, GuestMemory& memory, GuestPhys free_memory)
        : registers_(registers), allocator_(memory, free_memory) {}

    uint32_t read(uint64_t offset) { return static_cast<uint32_t>(registers_.read(offset, 4)); }
    void write(uint64_t offset, uint32_t value) { registers_.write(offset, 4, value); }

    uint64_t device_features();
    void write_driver_features(uint64_t features);
    // Steps 1 to 6 of [virtio-1.2 3.1.1]: reset to FEATURES_OK. False if the device refused.
    bool negotiate(uint64_t features);
    // Lays out a queue and makes it ready. Size 0: the largest.
    GuestQueue make_queue(uint16_t index, uint16_t size = 0);
    void write_queue(uint16_t index, const GuestQueue& queue, uint32_t size);
    void driver_ok();
    uint32_t status();
    void ring(uint16_t queue);
    // Rings if the queue says so.
    void announce(uint16_t index, GuestQueue& queue);

    template <typename T>
    T config(uint64_t offset) {
        return static_cast<T>(registers_.read(0x100 + offset, sizeof(T)));
    }

    GuestAllocator& allocator() { return allocator_; }
    GuestMemory& memory() { return allocator_.memory(); }

  private:
    IoHandler& registers_;
    GuestAllocator allocator_;
    uint64_t features_ = 0;
};

}  // namespace mynah::testing
