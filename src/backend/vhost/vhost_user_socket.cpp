#include "backend/vhost/vhost_user_socket.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace mynah {

using namespace vhost_user;

namespace {

// The time that a whole message has, however many pieces it comes in.
class Patience {
  public:
    explicit Patience(int timeout_ms)
        : timeout_ms_(timeout_ms), until_(Clock::now() + std::chrono::milliseconds(timeout_ms)) {}

    // Error: the time is up.
    Result<void> wait_for(int socket, short events) const {
        using std::chrono::milliseconds;
        pollfd descriptor{socket, events, 0};
        for (;;) {
            const auto left = std::chrono::ceil<milliseconds>(until_ - Clock::now());
            if (left <= milliseconds::zero())
                return Error(fmt::format("no answer within {} ms", timeout_ms_));
            const int ready = poll(&descriptor, 1, static_cast<int>(left.count()));
            if (ready > 0) return {};
            if (ready < 0 && errno != EINTR) return Error(std::strerror(errno));
        }
    }

  private:
    using Clock = std::chrono::steady_clock;
    const int timeout_ms_;
    const Clock::time_point until_;
};

void keep_descriptors(msghdr& header, std::vector<Fd>& fds) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
         control = CMSG_NXTHDR(&header, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
            Fd owned(fd);
            if (fds.size() < kMaxFds) fds.push_back(std::move(owned));
        }
    }
}

// Exactly to.size() bytes, and the descriptors that come with them.
Result<void> receive_bytes(int socket, std::span<std::byte> to, std::vector<Fd>& fds,
                           const Patience& patience) {
    while (!to.empty()) {
        iovec part{to.data(), to.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got > 0) {
            keep_descriptors(header, fds);
            to = to.subspan(static_cast<size_t>(got));
        } else if (got == 0) {
            return Error("the other side closed the connection");
        } else if (errno == EAGAIN) {
            TRY(patience.wait_for(socket, POLLIN));
        } else if (errno != EINTR) {
            return Error(std::strerror(errno));
        }
    }
    return {};
}

}  // namespace

const char* check_vhost_user_header(const Header& header) {
    if ((header.flags & kVersionMask) != kVersion) return "a message of another version";
    if (header.size > kMaxPayload) return "a message that is longer than any";
    return nullptr;
}

Result<void> send_vhost_user(int socket, uint32_t request, uint32_t flags,
                             std::span<const std::byte> payload, std::span<const int> fds,
                             int timeout_ms) {
    std::array<std::byte, sizeof(Header) + kMaxPayload> bytes;
    if (payload.size() > kMaxPayload || fds.size() > kMaxFds) return Error("message too long");
    const Header head{request, kVersion | flags, static_cast<uint32_t>(payload.size())};
    std::memcpy(bytes.data(), &head, sizeof head);
    std::ranges::copy(payload, bytes.begin() + sizeof head);
    std::span<std::byte> rest = std::span(bytes).first(sizeof head + payload.size());
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))]{};
    bool with_fds = !fds.empty();
    const Patience patience(timeout_ms);
    while (!rest.empty()) {
        iovec part{rest.data(), rest.size()};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (with_fds) {
            header.msg_control = control;
            header.msg_controllen = CMSG_SPACE(fds.size_bytes());
            cmsghdr* const first = CMSG_FIRSTHDR(&header);
            first->cmsg_level = SOL_SOCKET;
            first->cmsg_type = SCM_RIGHTS;
            first->cmsg_len = CMSG_LEN(fds.size_bytes());
            std::memcpy(CMSG_DATA(first), fds.data(), fds.size_bytes());
        }
        const ssize_t sent = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            rest = rest.subspan(static_cast<size_t>(sent));
            with_fds = false;
        } else if (sent < 0 && errno == EAGAIN) {
            TRY(patience.wait_for(socket, POLLOUT));
        } else if (sent < 0 && errno != EINTR) {
            return Error(std::strerror(errno));
        }
    }
    return {};
}

Result<void> receive_vhost_user(int socket, VhostUserMessage& message, int timeout_ms) {
    message.fds.clear();
    const Patience patience(timeout_ms);
    Header header;
    TRY(receive_bytes(socket, std::as_writable_bytes(std::span(&header, 1)), message.fds,
                      patience));
    if (const char* const wrong = check_vhost_user_header(header)) return Error(wrong);
    message.request = header.request;
    message.flags = header.flags;
    message.size = header.size;
    return receive_bytes(socket, std::span(message.payload).first(header.size), message.fds,
                         patience);
}

}  // namespace mynah
