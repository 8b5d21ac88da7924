#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace mynah {

// Frames in a stream of bytes, each behind its length as four bytes, big-endian: what QEMU's
// `-netdev stream` and `-netdev socket` speak. Single-threaded.
class StreamFraming {
  public:
    static constexpr size_t kPrefix = 4;

    // Takes bytes as they come and passes on frames as they are complete. False: the peer does not
    // speak this, as a length is longer than any frame; nothing more is taken.
    [[nodiscard]] bool take(std::span<const std::byte> bytes,
                            const std::function<void(std::span<const std::byte>)>& frame);
    void reset() {
        pending_.clear();
        broken_ = false;
    }

  private:
    std::vector<std::byte> pending_;  // less than one frame with its prefix
    bool broken_ = false;
};

}  // namespace mynah
