#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "backend/network/network_backend.h"

namespace mynah {

// What passed a network, for whoever asks why it does not work. It lies where the operator's tools
// find it (machine/run_record.h), so it has no pointers. Readers at any moment.
struct NetworkCounts {
    enum Link : uint32_t { kUnknown, kDown, kUp };
    struct Values {
        uint32_t link = kUnknown, link_losses = 0;
        uint64_t sent = 0, received = 0;  // frames, as the guest sees it
        // DHCP for IPv4 [RFC 2131]: by the guest the first two, then what came back.
        uint32_t discovers = 0, requests = 0, offers = 0, acks = 0, naks = 0;
        uint32_t arp_questions = 0, arp_answers = 0;  // by the guest; to it
    };

    std::atomic<uint32_t> link{kUnknown}, link_losses{0};
    std::atomic<uint64_t> sent{0}, received{0};
    std::atomic<uint32_t> discovers{0}, requests{0}, offers{0}, acks{0}, naks{0};
    std::atomic<uint32_t> arp_questions{0}, arp_answers{0};

    Values values() const {
        return {link,   link_losses, sent, received, discovers,    requests,
                offers, acks,        naks, arp_questions, arp_answers};
    }
};

// The same network, whose frames are counted. What is looked at of a frame is its own copy, and
// believed nothing: it only changes which number grows.
class NetworkWatch final : public NetworkBackend, private NetworkSink {
  public:
    // The counts outlive it.
    NetworkWatch(std::unique_ptr<NetworkBackend> inner, NetworkCounts& counts);
    ~NetworkWatch() override;

    void set_sink(NetworkSink* sink) override;
    NetworkOffloads transmit_offloads() const override { return inner_->transmit_offloads(); }
    void set_receive_offloads(NetworkOffloads offloads) override {
        inner_->set_receive_offloads(offloads);
    }
    size_t transmit(std::span<const NetworkFrame> frames) override;
    void receive_ready() override { inner_->receive_ready(); }
    bool link_up() const override { return inner_->link_up(); }
    void look() override { inner_->look(); }

  private:
    size_t receive(std::span<const NetworkFrame> frames) override;
    void transmit_ready() override { sink_->transmit_ready(); }
    void link_changed(bool up) override;
    void count(const NetworkFrame& frame, bool from_guest);
    void count_dhcp(std::span<const std::byte> message, bool from_guest);

    NetworkCounts& counts_;
    NetworkSink* sink_ = nullptr;  // changed only while nobody calls
    std::unique_ptr<NetworkBackend> inner_;  // last: it calls the rest
};

}  // namespace mynah
