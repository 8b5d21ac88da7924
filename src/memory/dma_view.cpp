#include "memory/dma_view.h"

#include <algorithm>
#include <cstring>

namespace mynah {

// Calls visit(host bytes, offset, writable) for each piece that lies side by side; false as soon as
// it says so, or where there is no memory.
template <typename Visit>
bool DmaView::for_each_run(GuestPhys start, uint64_t size, DmaUse use, Visit&& visit) const {
    if (!allowed()) return false;
    if (size != 0 && start.value + (size - 1) < start.value) return false;
    for (uint64_t offset = 0; offset < size;) {
        const auto run = find(start + offset, size - offset, use);
        if (!run || !visit(Slice(run->host, run->size), offset, run->writable)) return false;
        offset += run->size;
    }
    return true;
}

bool DmaView::contains(GuestPhys start, uint64_t size, DmaUse use) const {
    return for_each_run(start, size, use, [](Slice, uint64_t, bool) { return true; });
}

bool DmaView::read(GuestPhys from, std::span<std::byte> to) const {
    if (!contains(from, to.size())) return false;
    return for_each_run(from, to.size(), DmaUse::kRead, [to](Slice run, uint64_t offset, bool) {
        std::memcpy(to.data() + offset, run.data(), run.size());
        return true;
    });
}

bool DmaView::write(GuestPhys to, std::span<const std::byte> from) const {
    const auto writable = [](Slice, uint64_t, bool may_write) { return may_write; };
    if (!for_each_run(to, from.size(), DmaUse::kWrite, writable)) return false;
    return for_each_run(to, from.size(), DmaUse::kWrite, [&](Slice run, uint64_t offset, bool may_write) {
        if (!may_write) return false;  // it changed meanwhile
        std::memcpy(run.data(), from.data() + offset, run.size());
        memory_->watch().wrote(run.data(), run.size());
        return true;
    });
}

bool DmaView::slices(GuestPhys start, uint64_t size, SliceList& to, DmaUse use) const {
    const auto writable = [](Slice, uint64_t, bool may_write) { return may_write; };
    if (!for_each_run(start, size, use, writable)) return false;
    return for_each_run(start, size, use, [&to](Slice run, uint64_t, bool may_write) {
        if (may_write) to.append(run);
        return may_write;  // unless it changed meanwhile
    });
}

}  // namespace mynah
