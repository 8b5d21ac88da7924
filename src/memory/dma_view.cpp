#include "memory/dma_view.h"

#include <algorithm>
#include <cstring>

namespace mynah {

bool DmaView::contains(GuestPhys start, uint64_t size) const {
    if (size == 0) return true;
    if (start.value + (size - 1) < start.value) return false;
    for (const GuestMemory::Range& range : memory_.ranges()) {
        if (start < range.start) return false;  // ranges ascend: this byte lies in a hole
        if (start >= range.end()) continue;
        const uint64_t here = range.end() - start;
        if (size <= here) return true;
        // The rest must go on in the range that follows without a hole.
        size -= here;
        start = range.end();
    }
    return false;
}

template <typename Visit>
void DmaView::for_each_run(GuestPhys start, uint64_t size, Visit&& visit) const {
    uint64_t offset = 0;
    for (const GuestMemory::Range& range : memory_.ranges()) {
        if (offset == size) return;
        const GuestPhys at = start + offset;
        if (at < range.start || at >= range.end()) continue;
        const uint64_t part = std::min<uint64_t>(range.end() - at, size - offset);
        visit(Slice(memory_.host(at, part), part), offset);
        offset += part;
    }
}

bool DmaView::read(GuestPhys from, std::span<std::byte> to) const {
    if (!contains(from, to.size())) return false;
    for_each_run(from, to.size(), [to](Slice run, uint64_t offset) {
        std::memcpy(to.data() + offset, run.data(), run.size());
    });
    return true;
}

bool DmaView::write(GuestPhys to, std::span<const std::byte> from) const {
    if (!contains(to, from.size())) return false;
    for_each_run(to, from.size(), [&](Slice run, uint64_t offset) {
        std::memcpy(run.data(), from.data() + offset, run.size());
        memory_.watch().wrote(run.data(), run.size());
    });
    return true;
}

bool DmaView::slices(GuestPhys start, uint64_t size, SliceList& to) const {
    if (!contains(start, size)) return false;
    for_each_run(start, size, [&to](Slice run, uint64_t) { to.append(run); });
    return true;
}

}  // namespace mynah
