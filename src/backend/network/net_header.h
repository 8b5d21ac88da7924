#pragma once

#include <cstdint>

#include "backend/network/network_backend.h"

namespace mynah {

// struct virtio_net_hdr without num_buffers, which the host's tap uses as well
// [virtio-1.2 5.1.6]. Little-endian.
struct NetHeader {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
};
static_assert(sizeof(NetHeader) == 10);

inline constexpr uint8_t kNetHeaderNeedsChecksum = 1, kNetHeaderDataValid = 2;
inline constexpr uint8_t kNetGsoNone = 0, kNetGsoTcp4 = 1, kNetGsoUdp = 3, kNetGsoTcp6 = 4,
                         kNetGsoUdpL4 = 5;  // datagrams, not fragments
inline constexpr uint8_t kNetGsoEcn = 0x80;

// header_size: bytes of the frame's headers, for hdr_len; 0 if unknown.
NetHeader to_net_header(const FrameOffload& offload, uint16_t header_size);
// False: it asks for what FrameOffload does not have, or contradicts itself or the frame's size.
[[nodiscard]] bool from_net_header(const NetHeader& header, size_t frame_size,
                                   FrameOffload& offload);

}  // namespace mynah
