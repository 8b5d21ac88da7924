#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mynah {

// A run of guest memory as host bytes. Somebody else may change them at any moment.
using Slice = std::span<std::byte>;

// Guest memory that belongs together but lies scattered: what a device reads from or writes to,
// in order. Keeps its storage when cleared, so that a reused list allocates nothing.
class SliceList {
  public:
    void clear();
    // Empty slices are dropped; one that continues the last is joined to it.
    void append(Slice slice);

    std::span<const Slice> slices() const { return slices_; }
    uint64_t size() const { return size_; }  // bytes in all
    bool empty() const { return size_ == 0; }

    // Takes bytes off the front and copies them; false, with nothing taken, if there are fewer.
    [[nodiscard]] bool take_front(std::span<std::byte> to);
    // Moves the last `size` bytes to the end of `to`; false, with nothing moved, if there are
    // fewer.
    [[nodiscard]] bool take_back(uint64_t size, SliceList& to);
    // Copies to the front of the list; returns how many bytes fitted. Takes nothing off.
    uint64_t fill(std::span<const std::byte> from);

  private:
    std::vector<Slice> slices_;
    uint64_t size_ = 0;
};

}  // namespace mynah
