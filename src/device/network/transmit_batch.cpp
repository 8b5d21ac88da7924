#include "device/network/transmit_batch.h"

#include <cstring>

namespace mynah {

void TransmitBatch::add(std::span<const std::byte> frame, const FrameOffload& offload) {
    if (frame.size() < ethernet::kHeaderSize || frame.size() > ethernet::kMaxSuperFrame) return;
    if (full()) return;
    bytes_.reserve(kBytes);
    slices_.reserve(kMostFrames);
    const size_t at = bytes_.size();
    bytes_.insert(bytes_.end(), frame.begin(), frame.end());
    slices_.emplace_back(bytes_.data() + at, frame.size());
    frames_.push_back({std::span(&slices_.back(), 1), frame.size(), offload});
}

void TransmitBatch::drop_front(size_t count) {
    if (count < frames_.size()) {
        frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(count));
        return;
    }
    frames_.clear();
    slices_.clear();
    bytes_.clear();
}

}  // namespace mynah
