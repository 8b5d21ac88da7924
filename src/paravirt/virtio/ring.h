#pragma once

#include <cstdint>
#include <span>

#include "memory/dma_view.h"
#include "spec/virtio/split_ring.h"

namespace mynah {

// Buffers a driver made available with one entry of the ring.
struct DescriptorChain {
    uint16_t head = 0;   // names the chain until it is given back
    SliceList readable;  // what the device may read; comes first [virtio-1.2 2.7.4.2]
    SliceList writable;
};

// Where a driver put a virtqueue [virtio-1.2 2.7, 2.8].
struct RingLayout {
    uint32_t size = 0;  // entries, at most kMaxQueueSize; of a split ring a power of two
    GuestPhys descriptors;
    GuestPhys available;  // packed: the driver's event suppression
    GuestPhys used;       // packed: the device's
};

// The device's side of a virtqueue in one of the two layouts: takes what the driver made
// available, returns it as used, and keeps the rules for notifications both ways. Single-threaded;
// VirtioQueue has the lock.
//
// Everything in the rings is the guest's and can change at any moment: each field is read once. A
// broken rule (see RingError) breaks the ring for good: nothing is taken or returned any more.
class Ring {
  public:
    enum class RingError : uint8_t {
        kNone,
        kNotMemory,    // a ring, table or buffer is not wholly in RAM, or a ring is misaligned
        kIndexJump,    // avail idx runs more than the queue's size ahead, or back [2.7.6]; packed:
                       // more descriptors are out than the ring has
        kBadHead,      // an entry of the available ring is no descriptor
        kBadNext,      // a chain goes on beyond its table
        kLoop,         // a chain is longer than any queue of the device [2.7.5.2, 2.7.5.3.1]
        kBadIndirect,  // not negotiated, nested, together with NEXT, or length not n x 16
                       // [2.7.5.3.1, 2.8.19]
        kBadOrder,     // a readable buffer after a writable one [2.7.4.2]
        kTooLong,      // buffers of more than 2^32 bytes in one chain [2.7.5]
        kBadSize,      // the queue's size is none it can have [2.7, 2.8.10.1]
        kRejected,     // the device found a chain to break the rules of its type
    };

    struct Features {
        bool indirect = false;
        bool event_index = false;
        // Longest chain taken, where it can be longer than the ring because it is indirect.
        uint32_t max_chain = 0;
        bool packed = false;    // which layout; for VirtioQueue
        bool in_order = false;  // chains are returned as they were taken; for VirtioQueue
        // Split rings: where to go on in a ring that somebody ran before.
        uint16_t next_available = 0, next_used = 0;
    };

    explicit Ring(const DmaView& memory) : memory_(memory) {}
    virtual ~Ring() = default;

    // A new ring from its beginning. False: the layout breaks a rule (size, alignment, RAM).
    [[nodiscard]] virtual bool start(const RingLayout& layout, Features features) = 0;
    RingError error() const { return error_; }
    // Breaks the ring for a reason only the device can see.
    void reject() { fail(RingError::kRejected); }

    // How many chains are available now, at most the queue's size. 0 if broken.
    virtual uint16_t available() = 0;
    // Whether there are any: cheaper.
    virtual bool has_available() = 0;
    // Asks to be notified of every chain beyond those that available() last saw, then looks again.
    // Bells for what this call saw may not ring, so the caller serves them.
    virtual uint16_t arm_notification() = 0;
    // Takes the next chain, of which has_available() must have said that it is there. False: the
    // ring is broken now.
    [[nodiscard]] virtual bool take(DescriptorChain& chain) = 0;

    // Hands a chain back, `written` bytes from the start of its writable part being new. True: the
    // driver wants an interrupt for it.
    [[nodiscard]] bool give_back(uint16_t head, uint32_t written) {
        const virtio::UsedElement element{head, written};
        return give_back_all({&element, 1});
    }
    // Hands several chains back, which the driver sees all at once.
    [[nodiscard]] virtual bool give_back_all(std::span<const virtio::UsedElement> chains) = 0;
    // Takes a chain that was taken before and not returned, by whoever ran the ring then. False: the
    // ring is broken now.
    // Split rings only.
    [[nodiscard]] virtual bool retake(uint16_t, DescriptorChain&) {
        return fail(RingError::kBadHead);
    }
    // Where take() goes on; split rings only.
    virtual uint16_t position() const { return 0; }
    // Makes the last `count` chains taken, none of which was given back, available again.
    virtual void untake(uint16_t count) = 0;

  protected:
    static constexpr uint64_t kMaxChainBytes = uint64_t{1} << 32;  // [virtio-1.2 2.7.5]

    bool fail(RingError error) {
        if (error_ == RingError::kNone) error_ = error;
        return false;
    }
    // One more buffer of a chain; `bytes`: of those before it, and then with it.
    bool append_buffer(GuestPhys address, uint32_t length, bool writable, uint64_t& bytes,
                       DescriptorChain& chain);

    const DmaView& memory_;
    RingLayout layout_;
    Features features_;
    RingError error_ = RingError::kNone;
};

const char* ring_error_name(Ring::RingError error);

}  // namespace mynah
