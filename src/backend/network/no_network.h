#pragma once

#include "backend/network/network_backend.h"

namespace mynah {

// A card with no cable in it: the link is down, what is sent is lost.
class NoNetwork final : public NetworkBackend {
  public:
    void set_sink(NetworkSink*) override {}
    NetworkOffloads transmit_offloads() const override { return {true, true, true, true}; }
    void set_receive_offloads(NetworkOffloads) override {}
    size_t transmit(std::span<const NetworkFrame> frames) override { return frames.size(); }
    void receive_ready() override {}
    bool link_up() const override { return false; }
};

}  // namespace mynah
