#include "memory/discard.h"

#include <fcntl.h>

namespace mynah {

bool discard_memory(GuestMemory& memory, GuestPhys start, uint64_t size) {
    if (start.value % kPageSize != 0 || size % kPageSize != 0) return false;
    if (size != 0 && start.value + (size - 1) < start.value) return false;
    for (uint64_t done = 0; done < size;) {
        const auto run = memory.find(start + done, size - done);
        if (!run || !run->writable || !discard_memory(memory, std::span(run->host, run->size)))
            return false;
        done += run->size;
    }
    return true;
}

bool discard_memory(GuestMemory& memory, std::span<std::byte> pages) {
    if (pages.empty()) return true;
    const uint64_t offset = memory.file_offset(pages.data());
    if (offset % kPageSize != 0 || pages.size() % kPageSize != 0) return false;
    // RAM, which lies first in the file, and no block behind it.
    if (offset >= memory.ram_bytes() || pages.size() > memory.ram_bytes() - offset) return false;
    // Of huge pages the kernel would take whole ones away and leave what is in the others.
    if (memory.page_size() != kPageSize) return false;
    // The hole is in the file, so that it is one for all mappings of the page.
    if (fallocate(memory.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(offset), static_cast<off_t>(pages.size())) != 0) {
        return false;
    }
    memory.watch().wrote(pages.data(), pages.size());
    return true;
}

}  // namespace mynah
