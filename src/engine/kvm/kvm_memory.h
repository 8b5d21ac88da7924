#pragma once

#include <cstdint>
#include <vector>

#include "engine/kvm/kvm_handle.h"
#include "memory/guest_memory.h"

namespace mynah::kvm {

// Guest memory as KVM's slots: RAM and what lies over it, read-only memory, and the other view of
// system management mode. Not thread-safe.
class MemorySlots {
  public:
    // Both outlive it. `views`: 2 if KVM has an address space for system management mode.
    MemorySlots(const Handle& vm, GuestMemory& memory, unsigned views, unsigned most_slots);

    // Makes KVM see what the map says now. While no other processor accesses what changes. Error:
    // which region, and why.
    Result<void> follow();
    // Reports to WriteWatch what processors wrote to blocks since the last time (video memory);
    // their writes to RAM proper are not logged.
    void harvest();
    size_t count() const;

  private:
    struct Slot {
        MemoryMap::Segment segment;
        unsigned view = 0, number = 0;
        bool logged = false;
    };
    Result<void> follow(MemoryView view);
    Result<void> add(unsigned view, const MemoryMap::Segment& segment);
    Result<void> set(const Slot& slot, uint64_t size);
    unsigned free_number() const;

    const Handle& vm_;
    GuestMemory& memory_;
    const unsigned views_, most_slots_;
    std::vector<Slot> slots_;
};

}  // namespace mynah::kvm
