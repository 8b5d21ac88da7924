#include "backend/character/socket_backend.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace mynah {
namespace {

void signal_event(const Fd& event) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event.get(), &one, sizeof one);
}

// A socket file nobody listens at any more, left by a program that was killed.
bool is_abandoned(const sockaddr_un& address) {
    struct stat status {};
    if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int result =
        connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return result != 0 && errno == ECONNREFUSED;
}

}  // namespace

Result<std::unique_ptr<SocketBackend>> SocketBackend::listen(const std::string& path,
                                                             const std::string& origin) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error(fmt::format("{}: expected a path of 1 to {} bytes", origin,
                                 sizeof address.sun_path - 1));
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const auto failed = [&](const char* call) {
        return Error(fmt::format("{}: {}: {}", origin, call, std::strerror(errno)));
    };
    Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener.valid()) return failed("socket");
    if (is_abandoned(address)) unlink(address.sun_path);
    if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return failed("bind");
    }
    if (::listen(listener.get(), 1) != 0) return failed("listen");
    return std::unique_ptr<SocketBackend>(new SocketBackend(std::move(listener), path));
}

SocketBackend::SocketBackend(Fd listener, std::string path)
    : listener_(std::move(listener)),
      path_(std::move(path)),
      stop_(eventfd(0, EFD_CLOEXEC)),
      client_left_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CHECK(stop_.valid() && client_left_.valid());
    thread_ = std::thread([this] { run(); });
}

SocketBackend::~SocketBackend() {
    signal_event(stop_);
    thread_.join();
    unlink(path_.c_str());
}

void SocketBackend::run() {
    std::array<pollfd, 2> sources{{{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}}};
    for (;;) {
        if (poll(sources.data(), sources.size(), -1) < 0 && errno != EINTR) return;
        if (sources[0].revents != 0) return;
        if (sources[1].revents == 0) continue;
        client_ = Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client_.valid()) serve_client();
    }
}

// Returns when the client has left or the backend stops.
void SocketBackend::serve_client() {
    writer_.set_fd(client_.get());
    connected_ = true;
    pump_.tell_connected(true);
    pump_.start(client_.get(), InputPump::WhenFull::kHoldBack, nullptr,
                [this] { signal_event(client_left_); });
    std::array<pollfd, 2> sources{{{stop_.get(), POLLIN, 0}, {client_left_.get(), POLLIN, 0}}};
    do {
        sources[0].revents = sources[1].revents = 0;
    } while (poll(sources.data(), sources.size(), -1) < 0 && errno == EINTR);
    pump_.stop();
    writer_.set_fd(-1);
    connected_ = false;
    pump_.tell_connected(false);
    client_.reset();
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(client_left_.get(), &count, sizeof count);
}

}  // namespace mynah
