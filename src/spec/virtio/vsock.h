#pragma once

#include <cstdint>

#include "base/bits.h"

// The socket device [virtio-1.2 5.10].
namespace mynah::virtio::vsock {

inline constexpr uint64_t kFeatureStream = bit(0), kFeatureSeqpacket = bit(1);  // [5.10.3]

// Queues [virtio-1.2 5.10.2].
inline constexpr uint16_t kReceiveQueue = 0, kTransmitQueue = 1, kEventQueue = 2;

// Addresses [virtio-1.2 5.10.4]: 0, 1 and all ones are nobody's.
inline constexpr uint64_t kHostCid = 2, kFirstGuestCid = 3, kLastGuestCid = 0xfffffffe;

// struct virtio_vsock_hdr [virtio-1.2 5.10.6], little-endian, without padding.
struct [[gnu::packed]] Header {
    uint64_t source_cid;
    uint64_t destination_cid;
    uint32_t source_port;
    uint32_t destination_port;
    uint32_t length;  // of the data behind it
    uint16_t type;
    uint16_t operation;
    uint32_t flags;
    uint32_t buffer_size;  // buf_alloc: the sender's room for this connection
    uint32_t forwarded;    // fwd_cnt: bytes it has passed on so far, modulo 2^32
};
static_assert(sizeof(Header) == 44);

inline constexpr uint16_t kTypeStream = 1;
enum Operation : uint16_t {
    kRequest = 1,
    kResponse = 2,
    kReset = 3,
    kShutdown = 4,
    kData = 5,
    kCreditUpdate = 6,
    kCreditRequest = 7,
};
// Of a shutdown: the sender will not receive, or not send, any more.
inline constexpr uint32_t kNoReceive = 1, kNoSend = 2, kNeither = 3;

}  // namespace mynah::virtio::vsock
