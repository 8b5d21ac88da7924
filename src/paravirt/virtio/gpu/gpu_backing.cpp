#include "paravirt/virtio/gpu/gpu_backing.h"

#include <algorithm>

namespace mynah {

GpuBacking::GpuBacking(std::span<const virtio::gpu::MemoryEntry> entries) {
    pieces_.reserve(entries.size());
    for (const virtio::gpu::MemoryEntry& entry : entries) {
        if (entry.length == 0) continue;
        pieces_.push_back({size_, GuestPhys(entry.address), entry.length});
        size_ += entry.length;
    }
}

bool GpuBacking::read(const DmaView& memory, uint64_t offset, std::span<std::byte> to) const {
    if (offset > size_ || to.size() > size_ - offset) return false;
    // The last piece that begins at the offset or before.
    auto piece = std::ranges::upper_bound(pieces_, offset, {}, &Piece::begin);
    if (piece != pieces_.begin()) --piece;
    while (!to.empty()) {
        const uint64_t skipped = offset - piece->begin;
        const size_t part = std::min<uint64_t>(to.size(), piece->length - skipped);
        if (!memory.read(piece->address + skipped, to.first(part))) return false;
        to = to.subspan(part);
        offset += part;
        ++piece;
    }
    return true;
}

}  // namespace mynah
