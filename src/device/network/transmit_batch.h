#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "backend/network/ethernet.h"
#include "backend/network/network_backend.h"

namespace mynah {

// Frames that a chip has fetched, on their way to the backend. Single-threaded.
class TransmitBatch {
  public:
    static constexpr size_t kMostFrames = 64;
    static constexpr size_t kBytes = 4 * ethernet::kMaxSuperFrame;

    bool empty() const { return frames_.empty(); }
    // Another frame of any size may not fit.
    bool full() const {
        return slices_.size() >= kMostFrames || bytes_.size() + ethernet::kMaxSuperFrame > kBytes;
    }
    // A frame no backend takes is dropped: too short, too long, or the batch is full.
    void add(std::span<const std::byte> frame, const FrameOffload& offload);
    std::span<const NetworkFrame> frames() const { return frames_; }
    // The backend took so many.
    void drop_front(size_t count);

  private:
    std::vector<std::byte> bytes_;  // never beyond kBytes, so that it never moves
    std::vector<Slice> slices_;
    std::vector<NetworkFrame> frames_;
};

}  // namespace mynah
