#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "spec/virtio/split_ring.h"

namespace mynah {

// The driver's side of a split virtqueue [virtio-1.2 2.7] in memory that is shared with a back end:
// makes buffers available and takes back what was used. Single-threaded.
//
// The back end can write to all of that memory at any moment. Nothing in it but the used ring is
// ever read, each entry of that once; an entry that names no chain which is out breaks the ring.
// Chains of several pieces take one descriptor and an indirect table if the back end has indirect
// descriptors, else as many descriptors as pieces. Left out: event indices.
class DriverRing {
  public:
    struct Piece {
        uint64_t address;
        uint32_t length;
        bool writable;
    };
    // Most pieces of a chain, in terms of the ring's size: what a driver may put into an indirect
    // table, where each buffer can lie in two ranges of memory.
    static constexpr uint32_t kPiecesPerEntry = 2;

    // Bytes of shared memory for a ring of so many entries.
    static uint64_t memory_size(uint16_t entries);
    // `memory` is page-aligned and known to the back end as `address`. entries: a power of two.
    DriverRing(std::span<std::byte> memory, uint64_t address, uint16_t entries);

    // Empties the ring; nothing is out.
    void restart(bool indirect);

    uint16_t entries() const { return entries_; }
    const std::byte* descriptors() const { return memory_.data(); }
    const std::byte* available() const { return memory_.data() + available_at_; }
    const std::byte* used() const { return memory_.data() + used_at_; }

    // Whether a chain of so many pieces can ever be added, and whether there is room now.
    bool possible(size_t pieces) const;
    bool fits(size_t pieces) const { return free_.size() >= descriptors_for(pieces); }
    // Makes a chain available that fits; returns its head, by which it comes back.
    uint16_t add(std::span<const Piece> pieces);
    // Whether the back end wants to hear of what was added.
    bool wants_kick() const;

    // The next chain that the back end has done with. Nothing: none, or the ring is broken.
    std::optional<virtio::UsedElement> take_used();
    bool broken() const { return broken_; }

  private:
    size_t descriptors_for(size_t pieces) const { return indirect_ ? 1 : pieces; }
    void put_descriptor(uint64_t at, const virtio::Descriptor& descriptor);
    void put_table(uint16_t head, std::span<const Piece> pieces);
    void put_chain(uint16_t head, std::span<const Piece> pieces);

    const std::span<std::byte> memory_;
    const uint64_t address_;
    const uint16_t entries_;
    const uint64_t available_at_, used_at_, tables_at_;
    bool indirect_ = false;
    bool broken_ = false;
    uint16_t next_available_ = 0, next_used_ = 0;
    std::vector<uint16_t> free_;                  // descriptors
    std::vector<std::vector<uint16_t>> held_by_;  // by head: the descriptors of the chain
};

}  // namespace mynah
