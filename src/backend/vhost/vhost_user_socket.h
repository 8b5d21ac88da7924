#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/vhost/vhost_user_messages.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// One message of vhost-user as it came, with the descriptors that came with it. What it says is the
// peer's: its header has been checked, its payload has not.
struct VhostUserMessage {
    uint32_t request = 0;
    uint32_t flags = 0;
    uint32_t size = 0;
    std::array<std::byte, vhost_user::kMaxPayload> payload;
    std::vector<Fd> fds;

    bool needs_reply() const { return (flags & vhost_user::kFlagNeedReply) != 0; }
    std::span<const std::byte> bytes() const { return std::span(payload).first(size); }
    // The payload as a T; nothing if it is of another size.
    template <typename T>
    std::optional<T> as() const {
        if (size != sizeof(T)) return std::nullopt;
        return front<T>();
    }
    // The payload's first bytes as a T; nothing if it is shorter.
    template <typename T>
    std::optional<T> front() const {
        if (size < sizeof(T)) return std::nullopt;
        T value;
        __builtin_memcpy(&value, payload.data(), sizeof value);
        return value;
    }
};

// Null if a header can begin a message, else what is wrong with it.
const char* check_vhost_user_header(const vhost_user::Header& header);

// Sends header, payload and descriptors, which stay the caller's. The peer must read within the
// time limit. Error: a clause that says why; the connection is of no use any more.
Result<void> send_vhost_user(int socket, uint32_t request, uint32_t flags,
                             std::span<const std::byte> payload, std::span<const int> fds,
                             int timeout_ms);

// Receives one message; waits for all of it at most `timeout_ms`. Error: a clause that says why
// (the peer closed, was too slow or does not speak this); the connection is of no use any more.
// Descriptors beyond kMaxFds are closed.
Result<void> receive_vhost_user(int socket, VhostUserMessage& message, int timeout_ms);

}  // namespace mynah
