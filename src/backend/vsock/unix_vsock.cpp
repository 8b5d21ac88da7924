#include "backend/vsock/unix_vsock.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "backend/network/unix_address.h"
#include "base/check.h"

namespace mynah {
namespace {

// What epoll tells of the two descriptors that are no streams.
constexpr uint64_t kListener = ~uint64_t{0}, kStop = kListener - 1;

// "CONNECT 1234"; 0 if it is not that.
uint32_t parse_request(std::string_view line) {
    constexpr std::string_view kWord = "CONNECT ";
    if (!line.starts_with(kWord)) return 0;
    line.remove_prefix(kWord.size());
    if (line.ends_with('\r')) line.remove_suffix(1);
    uint32_t port = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), port);
    return error == std::errc() && end == line.data() + line.size() ? port : 0;
}

}  // namespace

Result<std::unique_ptr<UnixVsock>> UnixVsock::listen(const std::string& path,
                                                     const std::string& origin) {
    Fd listener = TRY(bind_unix_socket(path, SOCK_STREAM, origin));
    if (::listen(listener.get(), SOMAXCONN) != 0)
        return Error(fmt::format("{}: {}: {}", origin, path, std::strerror(errno)));
    return std::unique_ptr<UnixVsock>(new UnixVsock(path, std::move(listener)));
}

UnixVsock::UnixVsock(std::string path, Fd listener)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      poll_(epoll_create1(EPOLL_CLOEXEC)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
    CHECK(poll_.valid() && stop_.valid());
    const auto watch = [this](int fd, uint64_t mark) {
        epoll_event event{EPOLLIN, {.u64 = mark}};
        CHECK(epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
    };
    watch(listener_.get(), kListener);
    watch(stop_.get(), kStop);
    thread_ = std::thread([this] { run(); });
}

UnixVsock::~UnixVsock() {
    const uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
    unlink(path_.c_str());
}

void UnixVsock::set_events(VsockEvents* events) {
    MutexLock lock(events_mutex_);
    events_ = events;
}

std::shared_ptr<UnixVsock::Stream> UnixVsock::find(VsockStream stream) const {
    MutexLock lock(mutex_);
    const auto found = streams_.find(stream);
    return found == streams_.end() ? nullptr : found->second;
}

// Edge-triggered: whoever reads and writes does so until there is nothing left, and is told again
// when there is more.
VsockStream UnixVsock::add(Fd fd, bool asked) {
    const int raw = fd.get();
    VsockStream id = 0;
    {
        MutexLock lock(mutex_);
        if (streams_.size() >= kMaxStreams) return 0;
        id = ++last_;
        auto stream = std::make_shared<Stream>(std::move(fd));
        stream->asked = asked;
        streams_.emplace(id, std::move(stream));
    }
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.u64 = id}};
    if (epoll_ctl(poll_.get(), EPOLL_CTL_ADD, raw, &event) == 0) return id;
    close(id);
    return 0;
}

VsockStream UnixVsock::connect(uint32_t port) {
    auto fd = connect_unix_socket(fmt::format("{}_{}", path_, port), SOCK_STREAM, "");
    return fd ? add(fd.take_value(), true) : 0;
}

void UnixVsock::accept(VsockStream stream, uint32_t host_port) {
    const std::string line = fmt::format("OK {}\n", host_port);
    (void)write(stream, std::as_bytes(std::span(line)));  // the first bytes always fit
}

VsockBackend::Transfer UnixVsock::read(VsockStream stream,
                                       std::span<const std::span<std::byte>> to) {
    const auto found = find(stream);
    if (!found) return {0, true};
    std::array<iovec, 16> vectors;
    const size_t count = std::min(to.size(), vectors.size());
    for (size_t i = 0; i < count; ++i) vectors[i] = {to[i].data(), to[i].size()};
    for (;;) {
        const ssize_t got = readv(found->fd.get(), vectors.data(), static_cast<int>(count));
        if (got > 0) return {static_cast<size_t>(got), false};
        if (got == 0) return {0, true};
        if (errno == EINTR) continue;
        return {0, errno != EAGAIN};
    }
}

VsockBackend::Transfer UnixVsock::write(VsockStream stream, std::span<const std::byte> from) {
    const auto found = find(stream);
    if (!found) return {0, true};
    size_t done = 0;
    while (done < from.size()) {
        const ssize_t sent = send(found->fd.get(), from.data() + done, from.size() - done,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return {done, errno != EAGAIN};
        done += static_cast<size_t>(sent);
    }
    return {done, false};
}

void UnixVsock::end_output(VsockStream stream) {
    if (const auto found = find(stream)) shutdown(found->fd.get(), SHUT_WR);
}

void UnixVsock::close(VsockStream stream) {
    std::shared_ptr<Stream> closing;
    {
        MutexLock lock(mutex_);
        const auto found = streams_.find(stream);
        if (found == streams_.end()) return;
        closing = std::move(found->second);
        streams_.erase(found);
    }
    // Somebody may be reading from it just now; the peer sees the end all the same.
    shutdown(closing->fd.get(), SHUT_RDWR);
}

// --- The thread.

void UnixVsock::run() {
    std::array<epoll_event, 64> ready;
    for (;;) {
        const int count = epoll_wait(poll_.get(), ready.data(), ready.size(), -1);
        if (count < 0 && errno != EINTR) return;
        for (int i = 0; i < count; ++i) {
            const epoll_event& each = ready[static_cast<size_t>(i)];
            if (each.data.u64 == kStop) return;
            if (each.data.u64 == kListener) {
                take_client();
            } else {
                event(each.data.u64, each.events);
            }
        }
    }
}

void UnixVsock::take_client() {
    Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client.valid()) (void)add(std::move(client), false);  // too many: it sees the end
}

void UnixVsock::event(VsockStream id, uint32_t what) {
    const auto stream = find(id);
    if (!stream) return;
    if (!stream->asked) return read_request(id, *stream);
    MutexLock lock(events_mutex_);
    if (events_ != nullptr) events_->ready(id, (what & (EPOLLHUP | EPOLLERR)) != 0);
}

// The line is taken byte for byte off the socket, and nothing behind it, as that is for the guest.
void UnixVsock::read_request(VsockStream id, Stream& stream) {
    std::array<char, 32> text;
    const ssize_t got = recv(stream.fd.get(), text.data(), text.size(), MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(id);
    const std::string_view seen(text.data(), static_cast<size_t>(got));
    const size_t end = seen.find('\n');
    if (end == std::string_view::npos) {
        if (seen.size() == text.size()) close(id);
        return;
    }
    const uint32_t port = parse_request(seen.substr(0, end));
    (void)!recv(stream.fd.get(), text.data(), end + 1, 0);
    stream.asked = true;
    {
        MutexLock lock(events_mutex_);
        if (port != 0 && events_ != nullptr) return events_->incoming(id, port);
    }
    close(id);
}

}  // namespace mynah
