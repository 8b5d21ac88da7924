#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "backend/network/network_backend.h"

namespace mynah {

// Where the headers of a TCP or UDP packet over IP are in a frame.
struct PacketHeaders {
    bool ipv6 = false;
    uint8_t protocol = 0;
    size_t network = 0;    // the IP header
    size_t transport = 0;  // the TCP or UDP header
    size_t payload = 0;    // behind it
    size_t end = 0;        // behind the packet; what follows is padding
};
// Nothing: not IPv4 or IPv6, a fragment, neither TCP nor UDP, IPv6 with extension headers, or
// lengths that contradict each other. At most two VLAN tags are looked through.
std::optional<PacketHeaders> find_headers(std::span<const std::byte> frame);

// The sum over the pseudo-header for a TCP or UDP part of `length` bytes, not complemented.
uint16_t pseudo_header_sum(std::span<const std::byte> frame, const PacketHeaders& headers,
                           size_t length);

// Carries out needs_checksum in place; a place that is not in the frame is left alone.
void complete_checksum(std::span<std::byte> frame, const FrameOffload& offload);

// Does on the host's processor what `offload` asks for and passes complete frames on, in order.
// The frame is changed. One that does not hold what is to be segmented is passed on uncut.
void complete_frame(std::span<std::byte> frame, const FrameOffload& offload,
                    const std::function<void(std::span<const std::byte>)>& emit);

// All bytes of a frame side by side. False: more than fits.
[[nodiscard]] bool gather_frame(const NetworkFrame& frame, std::span<std::byte> to);

}  // namespace mynah
