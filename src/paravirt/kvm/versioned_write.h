#pragma once

#include <atomic>
#include <cstdint>

#include "memory/dma_view.h"

namespace mynah {

// Writes a structure whose reader looks at a version before and after: odd while it is written, and
// another one afterwards [msr.rst]. `write` does the rest. False: there is no memory, and
// nothing was written. One writer at a time.
template <typename Write>
bool write_versioned(const DmaView& memory, GuestPhys version, Write&& write) {
    const auto before = memory.load<uint32_t>(version);
    if (!before) return false;
    const uint32_t odd = (*before + 1) | 1;
    if (!memory.store(version, odd)) return false;
    // What follows is not seen before the odd version, nor after the even one.
    std::atomic_thread_fence(std::memory_order_release);
    write();
    std::atomic_thread_fence(std::memory_order_release);
    return memory.store(version, odd + 1);
}

}  // namespace mynah
