#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "paravirt/virtio/ring.h"
#include "spec/virtio/packed_ring.h"

namespace mynah {

// The device's side of a packed virtqueue [virtio-1.2 2.8]: one ring of descriptors that driver and
// device both write to, with a bit that turns over at each round instead of indices.
//
// `head` of a chain is not the driver's buffer id, which can be anything, but the number of a note
// kept here of the id and how many descriptors the chain has.
class PackedRing final : public Ring {
  public:
    explicit PackedRing(const DmaView& memory) : Ring(memory) {}

    [[nodiscard]] bool start(const RingLayout& layout, Features features) override;
    uint16_t available() override;
    bool has_available() override;
    uint16_t arm_notification() override;
    [[nodiscard]] bool take(DescriptorChain& chain) override;
    [[nodiscard]] bool give_back_all(std::span<const virtio::UsedElement> chains) override;
    void untake(uint16_t count) override;

  private:
    // A place in the ring and the round it belongs to [virtio-1.2 2.8.1].
    struct Place {
        uint32_t index = 0;
        bool wrap = true;
    };
    struct Note {
        uint16_t id = 0;
        uint16_t descriptors = 0;  // 0: free
    };
    struct Seen {
        uint16_t chains = 0;
        Place end;  // behind the last descriptor seen
        bool more = false;
    };

    Place advance(Place from, uint32_t descriptors) const;
    Place retreat(Place from, uint32_t descriptors) const;
    GuestPhys address_of(Place place) const {
        return layout_.descriptors + 16 * uint64_t{place.index};
    }
    // Flags of the descriptor at a place if it is available.
    std::optional<uint16_t> available_flags(Place place);
    Seen look(Place from);
    bool take_direct(uint16_t first_flags, Note& note, DescriptorChain& chain);
    bool take_indirect(const virtio::PackedDescriptor& descriptor, uint64_t& bytes,
                       DescriptorChain& chain);
    bool write_used(Place place, Note note, uint32_t written, bool flags_too);
    uint16_t used_flags(Place place, uint32_t written) const;
    bool wants_interrupt(uint32_t descriptors);

    Place next_available_, next_used_;
    uint32_t out_ = 0;             // descriptors taken and not given back
    std::vector<Note> notes_;      // by head
    std::vector<uint16_t> free_;   // heads
    std::vector<uint16_t> taken_;  // heads in the order they were taken, the last size_ of them
    uint32_t taken_next_ = 0;      // where in it the next goes
};

}  // namespace mynah
