#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backend/network/mac_address.h"
#include "backend/network/switch_greeting.h"
#include "backend/network/user_network.h"
#include "machine/virtio_config.h"

namespace mynah {

// One network card and where its cable goes: plain data, checked for sense where it is used.
struct NetworkConfig {
    static constexpr unsigned kMaxCards = 8;
    static constexpr uint16_t kMaxQueues = 16;  // pairs

    enum class Kind : uint8_t { kUser, kTap, kStream, kDatagram, kPasst, kBridge, kSwitch };
    enum class Model : uint8_t { kDefault, kVirtio, kE1000, kRtl8139 };  // kDefault: the board's

    Kind kind = Kind::kUser;
    Model model = Model::kDefault;
    std::optional<MacAddress> address;  // else one that goes with the machine's name
    // kTap: the interface; kBridge: the bridge; kStream, kDatagram: the path; kPasst: the path, empty
    // to start one; kSwitch: the path of the switch's socket.
    std::string target;
    bool listens = false;               // kStream
    bool vhost = false;                 // kTap: the host's kernel moves the frames
    std::string peer;                   // kDatagram: the other side's path
    UserNetworkOptions user;            // kUser
    SwitchGreeting port;                // kSwitch
    uint16_t mtu = 0;                   // bytes of a packet; 0: 1500, and nothing is said about it
    VirtioConfig virtio = {};           // of model=virtio, as the next two
    bool rss = false, hash_report = false;
    std::string pcap;                   // record to this file; empty: do not
    // Something here only a virtio card has.
    bool wants_virtio() const { return virtio.given() || rss || hash_report; }
};

}  // namespace mynah
