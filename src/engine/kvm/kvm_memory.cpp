#include "engine/kvm/kvm_memory.h"

#include <fmt/core.h>
#include <linux/kvm.h>

#include <algorithm>
#include <bit>

namespace mynah::kvm {

MemorySlots::MemorySlots(const Handle& vm, GuestMemory& memory, unsigned views,
                         unsigned most_slots)
    : vm_(vm), memory_(memory), views_(views), most_slots_(most_slots) {}

size_t MemorySlots::count() const { return slots_.size(); }

Result<void> MemorySlots::follow() {
    for (unsigned view = 0; view < views_; ++view) TRY(follow(static_cast<MemoryView>(view)));
    return {};
}

// What is gone goes first, since slots must not overlap.
Result<void> MemorySlots::follow(MemoryView view) {
    const std::vector<MemoryMap::Segment> wanted = memory_.segments(view);
    const auto number = static_cast<unsigned>(view);
    const auto is_wanted = [&](const Slot& slot) {
        return std::find(wanted.begin(), wanted.end(), slot.segment) != wanted.end();
    };
    for (const Slot& slot : slots_) {
        if (slot.view == number && !is_wanted(slot)) TRY(set(slot, 0));
    }
    std::erase_if(slots_, [&](const Slot& slot) { return slot.view == number && !is_wanted(slot); });
    for (const MemoryMap::Segment& segment : wanted) {
        const bool there = std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
            return slot.view == number && slot.segment == segment;
        });
        if (!there) TRY(add(number, segment));
    }
    return {};
}

Result<void> MemorySlots::add(unsigned view, const MemoryMap::Segment& segment) {
    Slot slot{.segment = segment, .view = view, .number = free_number()};
    if (slot.number >= most_slots_) {
        return Error(fmt::format("KVM has {} memory slots, and the machine needs more",
                                 most_slots_));
    }
    slot.logged = segment.writable && segment.offset >= memory_.ram_bytes();
    TRY(set(slot, segment.end - segment.start));
    slots_.push_back(slot);
    return {};
}

unsigned MemorySlots::free_number() const {
    unsigned number = 0;
    const auto taken = [&] {
        return std::any_of(slots_.begin(), slots_.end(),
                           [number](const Slot& slot) { return slot.number == number; });
    };
    while (taken()) ++number;
    return number;
}

// [api.rst, KVM_SET_USER_MEMORY_REGION]: size 0 takes it away; the address space is in the upper half.
Result<void> MemorySlots::set(const Slot& slot, uint64_t size) {
    kvm_userspace_memory_region region{};
    region.slot = slot.view << 16 | slot.number;
    region.flags = (slot.segment.writable ? 0u : unsigned{KVM_MEM_READONLY}) |
                   (slot.logged ? unsigned{KVM_MEM_LOG_DIRTY_PAGES} : 0u);
    region.guest_phys_addr = slot.segment.start;
    region.memory_size = size;
    region.userspace_addr = reinterpret_cast<uintptr_t>(memory_.at_offset(slot.segment.offset));
    const auto done =
        vm_.request("KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, &region);
    if (done) return {};
    return Error(fmt::format("memory at {:#x}, {:#x} bytes: {}", slot.segment.start,
                             slot.segment.end - slot.segment.start, done.error().message()));
}

void MemorySlots::harvest() {
    for (const Slot& slot : slots_) {
        if (!slot.logged) continue;
        const uint64_t pages = (slot.segment.end - slot.segment.start) / kPageSize;
        std::vector<uint64_t> bits((pages + 63) / 64);
        kvm_dirty_log log{};
        log.slot = slot.view << 16 | slot.number;
        log.dirty_bitmap = bits.data();
        if (vm_.ask(KVM_GET_DIRTY_LOG, &log) < 0) continue;
        for (size_t word = 0; word < bits.size(); ++word) {
            for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
                const uint64_t page = word * 64 + static_cast<unsigned>(std::countr_zero(left));
                memory_.watch().wrote(memory_.at_offset(slot.segment.offset + page * kPageSize),
                                      kPageSize);
            }
        }
    }
}

}  // namespace mynah::kvm
