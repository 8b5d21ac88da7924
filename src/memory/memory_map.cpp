#include "memory/memory_map.h"

#include <algorithm>

#include "base/check.h"

namespace mynah {

MemoryMap::MemoryMap(std::span<const Ram> ram) : ram_(ram.begin(), ram.end()) {
    CHECK(ram_.size() <= kMostRam);
    MutexLock lock(mutex_);
    overlays_.reserve(kOverlays);
    for (MemoryView view : {MemoryView::kNormal, MemoryView::kManagement})
        publish(tables_[static_cast<size_t>(view)], flatten(view));
}

bool MemoryMap::find(GuestPhys address, MemoryView view, Run& run) const {
    const Table& table = tables_[static_cast<size_t>(view)];
    constexpr auto relaxed = std::memory_order_relaxed;
    while (true) {
        const uint32_t version = table.version.load(std::memory_order_acquire);
        bool found = false;
        const uint32_t count = table.count.load(relaxed);
        for (uint32_t i = 0; i < count && i < kSegments; ++i) {
            const Table::Place& place = table.places[i];
            const uint64_t start = place.start.load(relaxed), end = place.end.load(relaxed);
            if (address.value - start >= end - start) continue;
            const uint64_t within = address.value - start;
            run = {place.offset.load(relaxed) + within, end - start - within,
                   place.writable.load(relaxed)};
            found = true;
            break;
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((version & 1) == 0 && table.version.load(relaxed) == version) return found;
    }
}

std::vector<MemoryMap::Segment> MemoryMap::segments(MemoryView view) const {
    MutexLock lock(mutex_);
    return tables_[static_cast<size_t>(view)].written;
}

unsigned MemoryMap::take_slot() {
    MutexLock lock(mutex_);
    CHECK(overlays_.size() < kOverlays);
    overlays_.emplace_back();
    return static_cast<unsigned>(overlays_.size() - 1);
}

bool MemoryMap::set(unsigned slot, const MemoryOverlay& overlay) {
    CHECK(overlay.start.value % kPageSize == 0 && overlay.size % kPageSize == 0);
    CHECK(overlay.size <= ~uint64_t{0} - overlay.start.value);
    MutexLock lock(mutex_);
    overlays_.at(slot) = overlay;
    bool changed = false;
    for (MemoryView view : {MemoryView::kNormal, MemoryView::kManagement})
        changed |= publish(tables_[static_cast<size_t>(view)], flatten(view));
    return changed;
}

// Cuts the address space at every border, and asks for each piece who is on top.
std::vector<MemoryMap::Segment> MemoryMap::flatten(MemoryView view) const {
    using Kind = MemoryOverlay::Kind;
    std::vector<uint64_t> borders;
    std::vector<const MemoryOverlay*> seen;
    for (const Ram& ram : ram_) {
        borders.push_back(ram.start.value);
        borders.push_back(ram.start.value + ram.size);
    }
    for (const MemoryOverlay& overlay : overlays_) {
        if (overlay.kind == Kind::kNothing || overlay.size == 0) continue;
        if (!(view == MemoryView::kNormal ? overlay.normal : overlay.management)) continue;
        seen.push_back(&overlay);
        borders.push_back(overlay.start.value);
        borders.push_back(overlay.start.value + overlay.size);
    }
    std::sort(borders.begin(), borders.end());

    std::vector<Segment> segments;
    for (size_t i = 0; i + 1 < borders.size(); ++i) {
        const uint64_t start = borders[i], end = borders[i + 1];
        if (start == end) continue;
        Segment segment{.start = start, .end = end};
        const auto covers = [start](uint64_t from, uint64_t size) { return start - from < size; };
        const auto top = std::find_if(seen.rbegin(), seen.rend(), [&](const MemoryOverlay* o) {
            return covers(o->start.value, o->size);
        });
        if (top != seen.rend()) {
            if ((*top)->kind == Kind::kHole) continue;
            segment.offset = (*top)->offset + (start - (*top)->start.value);
            segment.writable = (*top)->kind == Kind::kMemory;
        } else {
            const auto ram = std::find_if(ram_.begin(), ram_.end(), [&](const Ram& r) {
                return covers(r.start.value, r.size);
            });
            if (ram == ram_.end()) continue;
            segment.offset = ram->offset + (start - ram->start.value);
            segment.writable = true;
        }
        if (!segments.empty()) {
            Segment& last = segments.back();
            if (last.end == start && last.writable == segment.writable &&
                last.offset + (last.end - last.start) == segment.offset) {
                last.end = end;
                continue;
            }
        }
        segments.push_back(segment);
    }
    std::stable_sort(segments.begin(), segments.end(), [](const Segment& a, const Segment& b) {
        return a.end - a.start > b.end - b.start;
    });
    return segments;
}

bool MemoryMap::publish(Table& table, std::vector<Segment> segments) {
    CHECK(segments.size() <= kSegments);
    if (segments == table.written) return false;
    constexpr auto relaxed = std::memory_order_relaxed;
    table.version.fetch_add(1, relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < segments.size(); ++i) {
        Table::Place& place = table.places[i];
        place.start.store(segments[i].start, relaxed);
        place.end.store(segments[i].end, relaxed);
        place.offset.store(segments[i].offset, relaxed);
        place.writable.store(segments[i].writable, relaxed);
    }
    table.count.store(static_cast<uint32_t>(segments.size()), relaxed);
    table.version.fetch_add(1, std::memory_order_release);
    table.written = std::move(segments);
    return true;
}

}  // namespace mynah
