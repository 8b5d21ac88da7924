#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/dma_view.h"
#include "spec/virtio/gpu.h"

namespace mynah {

// Pieces of guest memory that hold a resource's bytes, one after the other. Nothing is assumed of
// the memory behind them: each access looks it up.
class GpuBacking {
  public:
    static constexpr uint32_t kEntriesMost = 64 * 1024;

    explicit GpuBacking(std::span<const virtio::gpu::MemoryEntry> entries);

    uint64_t size() const { return size_; }  // bytes
    uint64_t host_bytes() const { return pieces_.size() * sizeof(Piece); }
    // Copies bytes from `offset` on; false: they do not all lie in the backing and in memory, and
    // what is in `to` is anything.
    [[nodiscard]] bool read(const DmaView& memory, uint64_t offset, std::span<std::byte> to) const;

  private:
    struct Piece {
        uint64_t begin;  // offset of its first byte
        GuestPhys address;
        uint32_t length;
    };
    std::vector<Piece> pieces_;  // none is empty
    uint64_t size_ = 0;
};

}  // namespace mynah
