#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "backend/network/mac_address.h"

namespace mynah {

// A device whose requests another process carries out, over vhost-user, or a vDPA device: plain
// data, checked for sense where it is used.
struct VhostUserConfig {
    static constexpr unsigned kMaxDevices = 16;
    static constexpr uint16_t kMaxDiskQueues = 64, kMaxPairs = 16, kMaxFilesystemQueues = 16,
                              kMaxGenericQueues = 64, kMaxQueueSize = 1024;
    static constexpr size_t kMaxTag = 36;  // bytes

    enum class Kind : uint8_t { kDisk, kNetwork, kFilesystem, kGeneric, kVdpa, kTap, kVsock };

    Kind kind = Kind::kGeneric;
    // Of the socket the other process listens at; kVdpa: or of the device's node; kTap: the name of
    // the interface.
    std::string path;
    uint16_t queues = 0;                // kNetwork: pairs; 0: the kind's usual number
    std::optional<MacAddress> address;  // kNetwork; else one that goes with the machine's name
    uint16_t mtu = 0;                   // kNetwork: bytes of a packet; 0: nothing is said about it
    std::string tag;                    // kFilesystem: what the guest mounts
    uint64_t cid = 0;                   // kVsock: the guest's
    uint32_t type = 0;                  // kGeneric: the virtio device type
    uint16_t queue_size = 256;          // kGeneric: entries
};

}  // namespace mynah
