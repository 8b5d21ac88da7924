#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "memory/slice_list.h"

namespace mynah {

// Walks along scattered memory and cuts pieces off its front. Never asked for more than there is.
class SliceCursor {
  public:
    explicit SliceCursor(std::span<const Slice> slices) : slices_(slices) {}

    // The next `bytes` bytes as slices; valid until the next call.
    std::span<const Slice> take(uint64_t bytes) {
        piece_.clear();
        advance(bytes, [this](Slice part) { piece_.push_back(part); });
        return piece_;
    }
    void copy_out(std::span<std::byte> to) {
        std::byte* next = to.data();
        advance(to.size(), [&](Slice part) {
            std::memcpy(next, part.data(), part.size());
            next += part.size();
        });
    }
    void copy_in(std::span<const std::byte> from) {
        const std::byte* next = from.data();
        advance(from.size(), [&](Slice part) {
            std::memcpy(part.data(), next, part.size());
            next += part.size();
        });
    }
    void fill_zero(uint64_t bytes) {
        advance(bytes, [](Slice part) { std::memset(part.data(), 0, part.size()); });
    }

  private:
    template <typename Function>
    void advance(uint64_t bytes, Function each) {
        while (bytes > 0 && next_ < slices_.size()) {
            const uint64_t part = std::min<uint64_t>(bytes, slices_[next_].size() - within_);
            if (part > 0) each(slices_[next_].subspan(within_, part));
            bytes -= part;
            within_ += part;
            if (within_ == slices_[next_].size()) {
                ++next_;
                within_ = 0;
            }
        }
    }

    std::span<const Slice> slices_;
    std::vector<Slice> piece_;
    size_t next_ = 0;
    size_t within_ = 0;
};

}  // namespace mynah
