#include "memory/slice_list.h"

#include <algorithm>
#include <cstring>

namespace mynah {

void SliceList::clear() {
    slices_.clear();
    size_ = 0;
}

void SliceList::append(Slice slice) {
    if (slice.empty()) return;
    size_ += slice.size();
    if (!slices_.empty() && slices_.back().data() + slices_.back().size() == slice.data()) {
        slices_.back() = Slice(slices_.back().data(), slices_.back().size() + slice.size());
        return;
    }
    slices_.push_back(slice);
}

bool SliceList::take_front(std::span<std::byte> to) {
    if (to.size() > size_) return false;
    size_ -= to.size();
    size_t used = 0;
    while (!to.empty()) {
        Slice& slice = slices_[used];
        const size_t part = std::min(slice.size(), to.size());
        std::memcpy(to.data(), slice.data(), part);
        to = to.subspan(part);
        slice = slice.subspan(part);
        if (slice.empty()) ++used;
    }
    slices_.erase(slices_.begin(), slices_.begin() + static_cast<std::ptrdiff_t>(used));
    return true;
}

bool SliceList::take_back(uint64_t size, SliceList& to) {
    if (size > size_) return false;
    // Find the slice in which the tail begins.
    size_t first = slices_.size();
    uint64_t tail = 0;
    while (tail < size) tail += slices_[--first].size();
    const uint64_t keep = tail - size;  // bytes of slices_[first] that stay
    for (size_t i = first; i < slices_.size(); ++i) {
        to.append(i == first ? slices_[i].subspan(keep) : slices_[i]);
    }
    if (keep > 0) {
        slices_[first] = slices_[first].first(keep);
        ++first;
    }
    slices_.resize(first);
    size_ -= size;
    return true;
}

uint64_t SliceList::fill(std::span<const std::byte> from) {
    uint64_t done = 0;
    for (const Slice slice : slices_) {
        const size_t part = std::min(slice.size(), from.size());
        if (part == 0) break;
        std::memcpy(slice.data(), from.data(), part);
        from = from.subspan(part);
        done += part;
    }
    return done;
}

}  // namespace mynah
