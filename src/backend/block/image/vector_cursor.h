#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <span>

#include "memory/slice_list.h"

namespace mynah {

// Walks along scattered memory as preadv and pwritev want it, from wherever the last call ended.
class VectorCursor {
  public:
    // What one call moves at most; both are far above what guests ask for.
    static constexpr size_t kMaxVectors = 256;
    static constexpr uint64_t kMaxTransfer = uint64_t{1} << 30;  // bytes
    using Vectors = std::array<iovec, kMaxVectors>;

    explicit VectorCursor(std::span<const Slice> slices) : slices_(slices) {}

    // The next vectors.
    std::span<const iovec> gather(Vectors& to) const {
        size_t count = 0;
        uint64_t bytes = 0;
        size_t skip = within_;
        for (size_t i = next_; i < slices_.size() && count < to.size() && bytes < kMaxTransfer;
             ++i, skip = 0) {
            const uint64_t part =
                std::min<uint64_t>(slices_[i].size() - skip, kMaxTransfer - bytes);
            if (part == 0) continue;
            to[count++] = iovec{slices_[i].data() + skip, part};
            bytes += part;
        }
        return std::span(to).first(count);
    }
    // Never by more than there is.
    void advance(uint64_t bytes) {
        while (bytes > 0) {
            const uint64_t part = std::min<uint64_t>(bytes, slices_[next_].size() - within_);
            bytes -= part;
            within_ += part;
            if (within_ == slices_[next_].size()) {
                ++next_;
                within_ = 0;
            }
        }
    }

  private:
    std::span<const Slice> slices_;
    size_t next_ = 0;
    uint64_t within_ = 0;
};

}  // namespace mynah
