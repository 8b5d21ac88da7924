#include "host/listen_socket.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mynah {
namespace {

constexpr int kBacklog = 16;

union Address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
};

// Length of the address; 0: it is not a numeric one.
socklen_t parse(const std::string& text, uint16_t port, Address& address) {
    address = {};
    if (inet_pton(AF_INET, text.c_str(), &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        return sizeof address.v4;
    }
    if (inet_pton(AF_INET6, text.c_str(), &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        return sizeof address.v6;
    }
    return 0;
}

// A socket file nobody listens at any more, left by a program that was killed.
bool is_abandoned(const sockaddr_un& address) {
    struct stat status {};
    if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ECONNREFUSED;
}

Error failed(const std::string& origin, const char* call) {
    return Error(fmt::format("{}: {}: {}", origin, call, std::strerror(errno)));
}

}  // namespace

Result<Fd> listen_unix(const std::string& path, const std::string& origin) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error(fmt::format("{}: expected a path of 1 to {} bytes", origin,
                                 sizeof address.sun_path - 1));
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.valid()) return failed(origin, "socket");
    if (is_abandoned(address)) unlink(address.sun_path);
    // The mode the file is made with.
    if (fchmod(listener.get(), 0600) != 0) return failed(origin, "fchmod");
    if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return failed(origin, "bind");
    }
    if (listen(listener.get(), kBacklog) != 0) return failed(origin, "listen");
    return listener;
}

Fd accept_or_pause(const Fd& listener, int flags, int stop) {
    constexpr int kPauseMs = 100;
    Fd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | flags));
    if (!peer.valid() &&
        (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        pollfd until{stop, POLLIN, 0};
        (void)poll(&until, 1, kPauseMs);
    }
    return peer;
}

Result<Fd> listen_tcp(const std::string& address, uint16_t port, const std::string& origin) {
    Address parsed;
    const socklen_t length = parse(address, port, parsed);
    if (length == 0) {
        return Error(fmt::format("{}: '{}' is not an IPv4 or IPv6 address", origin, address));
    }
    Fd listener(socket(parsed.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.valid()) return failed(origin, "socket");
    const int one = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener.get(), &parsed.any, length) != 0) {
        return Error(
            fmt::format("{}: {} port {}: {}", origin, address, port, std::strerror(errno)));
    }
    if (listen(listener.get(), kBacklog) != 0) return failed(origin, "listen");
    return listener;
}

bool is_port_free(const std::string& address, uint16_t port) {
    return listen_tcp(address, port, "").ok();
}

uint16_t port_of(const Fd& listener) {
    Address address{};
    socklen_t length = sizeof address;
    if (getsockname(listener.get(), &address.any, &length) != 0) return 0;
    if (address.any.sa_family == AF_INET6) return ntohs(address.v6.sin6_port);
    return address.any.sa_family == AF_INET ? ntohs(address.v4.sin_port) : uint16_t{0};
}

bool is_loopback(const std::string& text) {
    Address address;
    if (parse(text, 0, address) == 0) return false;
    if (address.any.sa_family == AF_INET) return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr) != 0;
}

}  // namespace mynah
