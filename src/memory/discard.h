#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "memory/guest_memory.h"

namespace mynah {

// Gives the host's memory behind whole pages of RAM back: they read as zeroes from then on. What
// lies where stays as it is, so processors need to forget no translations; code made from the pages
// is forgotten, and dirty logs note them, as for any other write. False, with nothing or a part
// discarded: not whole pages, not all RAM that can be written, the host's huge pages, or the host
// refuses. Any thread.
bool discard_memory(GuestMemory& memory, GuestPhys start, uint64_t size);
// The same by host address, of a piece of RAM that GuestMemory or a DmaView gave.
bool discard_memory(GuestMemory& memory, std::span<std::byte> pages);

}  // namespace mynah
