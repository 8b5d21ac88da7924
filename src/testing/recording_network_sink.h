#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "backend/network/network_backend.h"

namespace mynah::testing {

struct CapturedFrame {
    std::vector<std::byte> bytes;
    FrameOffload offload;
};

inline CapturedFrame capture(const NetworkFrame& frame) {
    CapturedFrame captured;
    captured.offload = frame.offload;
    for (const Slice piece : frame.pieces) {
        captured.bytes.insert(captured.bytes.end(), piece.begin(), piece.end());
    }
    return captured;
}

// A card that keeps what it receives, while it has room. Any thread.
class RecordingNetworkSink final : public NetworkSink {
  public:
    static constexpr std::chrono::seconds kPatience{60};

    size_t receive(std::span<const NetworkFrame> frames) override {
        const std::lock_guard hold(mutex_);
        size_t taken = 0;
        for (; taken < frames.size() && room_ > 0; ++taken, --room_) {
            frames_.push_back(capture(frames[taken]));
        }
        changed_.notify_all();
        return taken;
    }
    void transmit_ready() override {
        const std::lock_guard hold(mutex_);
        ++transmit_ready_;
        changed_.notify_all();
    }
    void link_changed(bool up) override {
        const std::lock_guard hold(mutex_);
        links_.push_back(up);
        changed_.notify_all();
    }

    // So many frames fit from now on; without limit to begin with.
    void set_room(size_t frames) {
        const std::lock_guard hold(mutex_);
        room_ = frames;
    }
    size_t received() const {
        const std::lock_guard hold(mutex_);
        return frames_.size();
    }
    // The oldest frame; waits for one. Nothing: none came for kPatience.
    std::optional<CapturedFrame> take() {
        std::unique_lock hold(mutex_);
        if (!changed_.wait_for(hold, kPatience, [this] { return !frames_.empty(); })) return {};
        CapturedFrame frame = std::move(frames_.front());
        frames_.pop_front();
        return frame;
    }
    bool wait_transmit_ready(unsigned times) {
        std::unique_lock hold(mutex_);
        return changed_.wait_for(hold, kPatience, [&] { return transmit_ready_ >= times; });
    }
    bool wait_link(bool up) {
        std::unique_lock hold(mutex_);
        return changed_.wait_for(hold, kPatience,
                                 [&] { return !links_.empty() && links_.back() == up; });
    }

  private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<CapturedFrame> frames_;
    size_t room_ = ~size_t{0};
    unsigned transmit_ready_ = 0;
    std::vector<bool> links_;
};

// Passes one frame that lies side by side.
inline bool transmit_one(NetworkBackend& backend, std::span<std::byte> bytes,
                         const FrameOffload& offload = {}) {
    const Slice piece = bytes;
    const NetworkFrame frame{std::span(&piece, 1), bytes.size(), offload};
    return backend.transmit(std::span(&frame, 1)) == 1;
}

}  // namespace mynah::testing
