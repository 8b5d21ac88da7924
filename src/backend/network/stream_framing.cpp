#include "backend/network/stream_framing.h"

#include <algorithm>

#include "backend/network/ethernet.h"

namespace mynah {

bool StreamFraming::take(std::span<const std::byte> bytes,
                         const std::function<void(std::span<const std::byte>)>& frame) {
    while (!broken_ && !bytes.empty()) {
        // First the prefix, then as much as it says.
        size_t wanted = kPrefix;
        if (pending_.size() >= kPrefix) wanted += ethernet::load32(pending_, 0);
        const size_t part = std::min(wanted - pending_.size(), bytes.size());
        pending_.insert(pending_.end(), bytes.begin(),
                        bytes.begin() + static_cast<std::ptrdiff_t>(part));
        bytes = bytes.subspan(part);
        if (pending_.size() < kPrefix) continue;
        const size_t size = ethernet::load32(pending_, 0);
        if (size > ethernet::kMaxSuperFrame) {
            broken_ = true;
        } else if (pending_.size() == kPrefix + size) {
            // What is no frame, an empty one among them, is not passed on.
            if (size >= ethernet::kHeaderSize) frame(std::span(pending_).subspan(kPrefix));
            pending_.clear();
        }
    }
    return !broken_;
}

}  // namespace mynah
