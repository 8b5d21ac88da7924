#pragma once

#include <cstddef>

#include "engine/translator/frame.h"

namespace mynah::translator {

// Code that all blocks share, emitted once at the start of code memory.
struct Thunks {
    // C++ calls: void enter(HostFrame*, const std::byte* code), returns the number of the exit site.
    const std::byte* enter = nullptr;
    // Emitted code calls; the site's number, 4 bytes, lies behind the call.
    const std::byte* exit = nullptr;
    // The same with the target in kScratch0.
    const std::byte* exit_indirect = nullptr;
    // An AccessSite lies before the call. kScratch0 holds linear ^ tag, kScratch1 the TLB entry.
    // Comes back with the host address in kScratch0.
    const std::byte* slow_access = nullptr;
    // The same where kScratch0 holds linear ^ HostFrame::stack_tag. The page of a write becomes
    // the one that stack accesses try first.
    const std::byte* stack_read = nullptr;
    const std::byte* stack_write = nullptr;
    // Those for a range that several accesses share: 0 in kScratch0 if it is not in the TLB.
    const std::byte* stack_range_read = nullptr;
    const std::byte* stack_range_write = nullptr;
    // The address of a Handled lies before the call.
    const std::byte* handler = nullptr;
    const std::byte* load_vectors = nullptr;
    const std::byte* load_x87 = nullptr;
};

struct ThunkTargets {
    void* self;
    const void* slow_access;
    const void* run_handler;
};

Thunks emit_thunks(Emitter& emitter, const Offsets& offsets, const ThunkTargets& targets);

}  // namespace mynah::translator
