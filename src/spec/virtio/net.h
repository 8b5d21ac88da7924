#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

// The network device [virtio-1.2 5.1].
namespace mynah::virtio::net {

// Feature bits [virtio-1.2 5.1.3].
inline constexpr uint64_t kFeatureCsum = bit(0);
inline constexpr uint64_t kFeatureGuestCsum = bit(1);
inline constexpr uint64_t kFeatureCtrlGuestOffloads = bit(2);
inline constexpr uint64_t kFeatureMtu = bit(3);
inline constexpr uint64_t kFeatureMac = bit(5);
inline constexpr uint64_t kFeatureGuestTso4 = bit(7);
inline constexpr uint64_t kFeatureGuestTso6 = bit(8);
inline constexpr uint64_t kFeatureGuestEcn = bit(9);
inline constexpr uint64_t kFeatureHostTso4 = bit(11);
inline constexpr uint64_t kFeatureHostTso6 = bit(12);
inline constexpr uint64_t kFeatureHostEcn = bit(13);
inline constexpr uint64_t kFeatureMrgRxbuf = bit(15);
inline constexpr uint64_t kFeatureStatus = bit(16);
inline constexpr uint64_t kFeatureCtrlVq = bit(17);
inline constexpr uint64_t kFeatureCtrlRx = bit(18);
inline constexpr uint64_t kFeatureCtrlVlan = bit(19);
inline constexpr uint64_t kFeatureCtrlRxExtra = bit(20);
inline constexpr uint64_t kFeatureGuestAnnounce = bit(21);
inline constexpr uint64_t kFeatureMq = bit(22);
inline constexpr uint64_t kFeatureCtrlMacAddr = bit(23);
inline constexpr uint64_t kFeatureGuestUso4 = bit(54);
inline constexpr uint64_t kFeatureGuestUso6 = bit(55);
inline constexpr uint64_t kFeatureHostUso = bit(56);
inline constexpr uint64_t kFeatureHashReport = bit(57);
inline constexpr uint64_t kFeatureRss = bit(60);
// What CTRL_GUEST_OFFLOADS can turn on and off.
inline constexpr uint64_t kGuestOffloads =
    kFeatureGuestCsum | kFeatureGuestTso4 | kFeatureGuestTso6 | kFeatureGuestEcn |
    kFeatureGuestUso4 | kFeatureGuestUso6;

// Queues [virtio-1.2 5.1.2]: of each pair first the one that receives; behind all pairs, or behind
// the first without multiqueue, the control queue.
inline constexpr uint16_t kReceiveQueue = 0, kTransmitQueue = 1, kControlQueue = 2;

// struct virtio_net_config [virtio-1.2 5.1.4], little-endian.
struct Config {
    uint8_t mac[6];
    uint16_t status;
    uint16_t max_virtqueue_pairs;
    uint16_t mtu;
    uint32_t speed;  // Mbit/s; of SPEED_DUPLEX, as the next
    uint8_t duplex;
    uint8_t rss_key_most;  // bytes; of RSS and HASH_REPORT, as the next two
    uint16_t rss_table_most;
    uint32_t hash_types;
};
static_assert(sizeof(Config) == 24);
inline constexpr uint32_t kSpeedUnknown = 0xffffffff;
inline constexpr uint8_t kDuplexUnknown = 0xff;
inline constexpr uint16_t kStatusLinkUp = 1, kStatusAnnounce = 2;
inline constexpr uint16_t kMinMtu = 68;  // [virtio-1.2 5.1.4.1]

// struct virtio_net_hdr: ten bytes (backend/network/net_header.h), then num_buffers
// [virtio-1.2 5.1.6].
inline constexpr size_t kHeaderSize = 12, kNumBuffers = 10;
// With HASH_REPORT the hash, what it was made of, and padding follow [virtio-1.2 5.1.6.4.4].
inline constexpr size_t kHashHeaderSize = 20, kHashValue = 12, kHashReport = 16;

// struct virtio_net_ctrl: class, command, data, and the device's answer [virtio-1.2 5.1.6.5].
struct Control {
    uint8_t control_class;
    uint8_t command;
};
inline constexpr uint8_t kOk = 0, kError = 1;

inline constexpr uint8_t kClassRx = 0, kRxPromiscuous = 0, kRxAllMulticast = 1, kRxAllUnicast = 2,
                         kRxNoMulticast = 3, kRxNoUnicast = 4, kRxNoBroadcast = 5;
inline constexpr uint8_t kClassMac = 1, kMacTableSet = 0, kMacAddressSet = 1;
inline constexpr uint8_t kClassVlan = 2, kVlanAdd = 0, kVlanDelete = 1;
inline constexpr uint8_t kClassAnnounce = 3, kAnnounceAcknowledge = 0;
inline constexpr uint8_t kClassMq = 4, kMqPairsSet = 0, kMqRssConfig = 1,
                         kMqHashConfig = 2;
inline constexpr uint8_t kClassGuestOffloads = 5, kGuestOffloadsSet = 0;

// struct virtio_net_rss_config [virtio-1.2 5.1.6.5.7.1], as far as the table; behind it the number of
// pairs that send (16 bits), the key's length (8 bits) and the key.
struct RssConfig {
    uint32_t hash_types;
    uint16_t table_mask;
    uint16_t unclassified;  // where what has no hash goes
};
static_assert(sizeof(RssConfig) == 8);
// struct virtio_net_hash_config [virtio-1.2 5.1.6.5.6.4]; the key's length and the key follow.
struct HashConfig {
    uint32_t hash_types;
    uint16_t reserved[4];
};
static_assert(sizeof(HashConfig) == 12);

}  // namespace mynah::virtio::net
