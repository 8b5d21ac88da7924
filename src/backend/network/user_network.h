#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/network/network_backend.h"
#include "base/result.h"

namespace mynah {

// A port of the host that leads to one of the guest.
struct PortForward {
    bool udp = false;
    uint32_t host_address = 0;  // IPv4, host byte order; 0: every address of the host
    uint16_t host_port = 0;
    uint32_t guest_address = 0;  // 0: the first address that DHCP gives
    uint16_t guest_port = 0;

    bool operator==(const PortForward&) const = default;
};

struct UserNetworkOptions {
    std::vector<PortForward> forwards;
    bool restricted = false;     // the guest reaches nobody; forwards still work
    std::string tftp_directory;  // served read-only; empty: none
    std::string boot_file;       // what DHCP tells a card that boots; empty: none
    uint16_t mtu = 1500;         // bytes of a packet towards the guest
};

// A network of its own behind the host's sockets, by libslirp: no rights are needed. The guest is
// 10.0.2.15 by DHCP, the host 10.0.2.2, the name server 10.0.2.3 (fec0::/64 by router
// advertisement).
//
// What the guest sends is worked on at once on the sending thread, up to the host's socket; so are
// the answers that libslirp has itself (ARP, DHCP, TCP's acknowledgements). A thread of its own
// waits for the host's sockets. It watches them by epoll, so that what the guest's packets change
// about them takes effect without waking it. While the card has no room, the sockets wait: TCP
// peers slow down and nothing is dropped.
class UserNetwork final : public NetworkBackend {
  public:
    static constexpr uint32_t kHost = 0x0a000202, kNameServer = 0x0a000203, kGuest = 0x0a00020f;
    static constexpr uint16_t kMinMtu = 576, kMaxMtu = 65521;

    // Error: names `origin` ("--network user") and what could not be had.
    static Result<std::unique_ptr<UserNetwork>> open(const UserNetworkOptions& options,
                                                     const std::string& origin);
    ~UserNetwork() override;
    UserNetwork(const UserNetwork&) = delete;
    UserNetwork& operator=(const UserNetwork&) = delete;

    void set_sink(NetworkSink* sink) override;
    // A packet of 64 KiB is as good as one of 1500 bytes here: it is not cut up.
    NetworkOffloads transmit_offloads() const override { return {true, true, true, true}; }
    void set_receive_offloads(NetworkOffloads) override {}
    size_t transmit(std::span<const NetworkFrame> frames) override;
    void receive_ready() override;
    bool link_up() const override { return true; }
    void look() override;

  private:
    class Stack;
    explicit UserNetwork(std::unique_ptr<Stack> stack);

    std::unique_ptr<Stack> stack_;
};

}  // namespace mynah
