#pragma once

#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "testing/recording_network_sink.h"

namespace mynah::testing {

// A network that keeps what a card sends and delivers what a test says. Any thread for what the
// card calls; the test's side on one.
class ScriptedNetworkBackend final : public NetworkBackend {
  public:
    void set_sink(NetworkSink* sink) override { sink_ = sink; }
    NetworkOffloads transmit_offloads() const override { return transmit_offloads_; }
    void set_receive_offloads(NetworkOffloads offloads) override { receive_offloads_ = offloads; }
    size_t transmit(std::span<const NetworkFrame> frames) override {
        const std::lock_guard hold(mutex_);
        size_t taken = 0;
        for (; taken < frames.size() && room_ > 0; ++taken, --room_) {
            sent_.push_back(capture(frames[taken]));
        }
        return taken;
    }
    void receive_ready() override {
        const std::lock_guard hold(mutex_);
        ++receive_ready_;
    }
    bool link_up() const override { return link_up_; }

    // --- for the test ---
    void set_transmit_offloads(NetworkOffloads offloads) { transmit_offloads_ = offloads; }
    NetworkOffloads receive_offloads() const { return receive_offloads_; }
    void set_room(size_t frames) { room_ = frames; }
    void make_ready() { sink_->transmit_ready(); }
    void set_link(bool up) {
        link_up_ = up;
        if (sink_ != nullptr) sink_->link_changed(up);
    }
    std::vector<CapturedFrame> take_sent() {
        const std::lock_guard hold(mutex_);
        return std::exchange(sent_, {});
    }
    unsigned receive_ready_calls() const { return receive_ready_; }
    bool has_sink() const { return sink_ != nullptr; }
    // Whether the card took it.
    bool deliver(std::vector<std::byte> bytes, const FrameOffload& offload = {}) {
        if (sink_ == nullptr) return false;
        const Slice piece = bytes;
        const NetworkFrame frame{std::span(&piece, 1), bytes.size(), offload};
        return sink_->receive(std::span(&frame, 1)) == 1;
    }

  private:
    std::mutex mutex_;
    NetworkSink* sink_ = nullptr;
    NetworkOffloads transmit_offloads_, receive_offloads_;
    std::vector<CapturedFrame> sent_;
    size_t room_ = ~size_t{0};
    unsigned receive_ready_ = 0;
    bool link_up_ = true;
};

}  // namespace mynah::testing
