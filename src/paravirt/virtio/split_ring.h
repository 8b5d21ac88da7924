#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "memory/dma_view.h"
#include "spec/virtio/split_ring.h"

namespace mynah {

// Buffers a driver made available with one entry of the ring.
struct DescriptorChain {
    uint16_t head = 0;
    SliceList readable;  // what the device may read; comes first [virtio-1.2 2.7.4.2]
    SliceList writable;
};

// Where a driver put a split virtqueue [virtio-1.2 2.7].
struct RingLayout {
    uint32_t size = 0;  // entries, a power of two up to kMaxQueueSize
    GuestPhys descriptors;
    GuestPhys available;
    GuestPhys used;
};

// The device's side of a split virtqueue [virtio-1.2 2.7]: walks what the driver made available,
// returns it as used, and keeps the rules for notifications both ways. Single-threaded; VirtioQueue
// has the lock.
//
// Everything in the rings is the guest's and can change at any moment: each field is read once. A
// broken rule (see RingError) breaks the ring for good: nothing is taken or returned any more.
// Left out: the packed layout [virtio-1.2 2.8].
class SplitRing {
  public:
    enum class RingError : uint8_t {
        kNone,
        kNotMemory,    // a ring, table or buffer is not wholly in RAM, or a ring is misaligned
        kIndexJump,    // avail idx runs more than the queue's size ahead, or back [2.7.6]
        kBadHead,      // an entry of the available ring is no descriptor
        kBadNext,      // a chain goes on beyond its table
        kLoop,         // a chain is longer than any queue of the device [2.7.5.2, 2.7.5.3.1]
        kBadIndirect,  // not negotiated, nested, together with NEXT, or length not n x 16
                       // [2.7.5.3.1]
        kBadOrder,     // a readable buffer after a writable one [2.7.4.2]
        kTooLong,      // buffers of more than 2^32 bytes in one chain [2.7.5]
        kBadSize,      // the queue's size is no power of two up to 2^15 [2.7]
        kRejected,     // the device found a chain to break the rules of its type
    };

    struct Features {
        bool indirect = false;
        bool event_index = false;
        // Longest chain taken, where it can be longer than the ring because it is indirect.
        uint32_t max_chain = 0;
    };

    explicit SplitRing(const DmaView& memory) : memory_(memory) {}

    // A new ring from its beginning. False: the layout breaks a rule (size, alignment, RAM).
    [[nodiscard]] bool start(const RingLayout& layout, Features features);
    RingError error() const { return error_; }
    // Breaks the ring for a reason only the device can see.
    void reject() { fail(RingError::kRejected); }

    // How many entries are available now, at most the queue's size. 0 if broken.
    uint16_t available();
    // Asks to be notified of every entry beyond those that available() last saw, then looks again.
    // Bells for what this call saw may not ring, so the caller serves them.
    uint16_t arm_notification();
    // Takes the next entry, which available() must have reported. False: the ring is broken now.
    [[nodiscard]] bool take(DescriptorChain& chain);

    // Hands a chain back, `written` bytes from the start of its writable part being new. True: the
    // driver wants an interrupt for it.
    [[nodiscard]] bool give_back(uint16_t head, uint32_t written);
    // Hands several chains back, which the driver sees all at once.
    [[nodiscard]] bool give_back_all(std::span<const virtio::UsedElement> chains);
    // Makes the last `count` chains taken, none of which was given back, available again.
    void untake(uint16_t count) { next_available_ = static_cast<uint16_t>(next_available_ - count); }

  private:
    struct Walk;
    bool fail(RingError error);
    bool walk(Walk& walk, DescriptorChain& chain);
    bool append_buffer(Walk& walk, const virtio::Descriptor& descriptor, DescriptorChain& chain);
    bool enter_indirect(Walk& walk, const virtio::Descriptor& descriptor);
    bool wants_interrupt(uint16_t old_used);

    const DmaView& memory_;
    RingLayout layout_;
    Features features_;
    RingError error_ = RingError::kNone;
    uint16_t next_available_ = 0;  // index of the entry to take next, modulo 2^16
    uint16_t next_used_ = 0;       // index of the entry to write next
};

const char* ring_error_name(SplitRing::RingError error);

}  // namespace mynah
