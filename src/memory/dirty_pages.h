#pragma once

#include <cstdint>
#include <span>

namespace mynah {

// Which pages of a block of guest memory were written to, by processors or DMA. Any thread.
class DirtyPages {
  public:
    virtual ~DirtyPages() = default;
    // Sets bit i % 64 of bits[i / 64] for each page i of the block (of 4096 bytes) that may have
    // been written to since the last call, and clears the others. The span covers the block.
    // The first call says that all were.
    virtual void collect(std::span<uint64_t> bits) = 0;
};

}  // namespace mynah
