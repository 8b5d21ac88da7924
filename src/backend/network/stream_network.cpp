#include "backend/network/stream_network.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "backend/network/unix_address.h"
#include "base/log.h"
#include "host/listen_socket.h"

namespace mynah {

Result<std::unique_ptr<StreamNetwork>> StreamNetwork::listen(const std::string& path,
                                                             const std::string& origin) {
    std::unique_ptr<StreamNetwork> network(new StreamNetwork(path, true));
    network->listener_ = TRY(bind_unix_socket(path, SOCK_STREAM, origin));
    if (::listen(network->listener_.get(), 1) != 0) {
        return Error(fmt::format("{}: {}: {}", origin, path, std::strerror(errno)));
    }
    TRY(network->begin(origin));
    network->watch_.set_fd(network->listener_.get());
    return network;
}

Result<std::unique_ptr<StreamNetwork>> StreamNetwork::connect(const std::string& path,
                                                              const std::string& origin) {
    return connect(path, origin, nullptr);
}

Result<std::unique_ptr<StreamNetwork>> StreamNetwork::over(Fd peer, const std::string& origin) {
    std::unique_ptr<StreamNetwork> network(new StreamNetwork("", false));
    network->reconnects_ = false;
    network->attach(std::move(peer));
    TRY(network->begin(origin));
    return network;
}

Result<std::unique_ptr<StreamNetwork>> StreamNetwork::connect(const std::string& path,
                                                              const std::string& origin,
                                                              Greet greet) {
    std::unique_ptr<StreamNetwork> network(new StreamNetwork(path, false));
    Fd peer = TRY(connect_unix_socket(path, SOCK_STREAM, origin));
    network->greet_ = std::move(greet);
    if (network->greet_) {
        const auto greeted = network->greet_(peer.get());
        if (!greeted)
            return Error(fmt::format("{}: {}: {}", origin, path, greeted.error().message()));
    }
    network->attach(std::move(peer));
    TRY(network->begin(origin));
    return network;
}

Result<void> StreamNetwork::begin(const std::string& origin) {
    buffer_.resize(kReadSize);
    DescriptorWatch::Owner owner;
    owner.fetch = [this] { up_ ? fetch() : look_for_peer(); };
    owner.writable = [this] { flush_rest(); };
    if (!listens_ && reconnects_) owner.retry = [this] { look_for_peer(); };
    if (!watch_.start(delivery_, std::move(owner))) {
        return Error(fmt::format("{}: eventfd: {}", origin, std::strerror(errno)));
    }
    return {};
}

StreamNetwork::~StreamNetwork() {
    watch_.stop();
    if (listens_ && listener_.valid()) unlink(path_.c_str());
}

// --- The peer comes and goes, on our thread.

void StreamNetwork::look_for_peer() {
    if (listens_) {
        Fd peer = accept_or_pause(listener_, SOCK_NONBLOCK, -1);
        if (peer.valid()) attach(std::move(peer));
    } else {
        auto peer = connect_unix_socket(path_, SOCK_STREAM, "");
        if (peer && (!greet_ || greet_(peer.value().get()))) attach(peer.take_value());
    }
}

void StreamNetwork::attach(Fd peer) {
    const int fd = peer.get();
    {
        MutexLock lock(mutex_);
        peer_ = std::move(peer);
        rest_.clear();
    }
    framing_.reset();
    up_ = true;
    watch_.set_fd(fd);
    delivery_.tell_link(true);
}

void StreamNetwork::detach() {
    up_ = false;
    watch_.set_fd(listens_ ? listener_.get() : -1);
    {
        MutexLock lock(mutex_);
        peer_.reset();
        rest_.clear();
    }
    delivery_.tell_link(false);
    delivery_.tell_transmit_ready();  // who waits for the peer waits no longer
}

void StreamNetwork::fetch() {
    ssize_t size;
    {
        MutexLock lock(mutex_);
        size = recv(peer_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const bool good = size > 0 && framing_.take(std::span(buffer_).first(static_cast<size_t>(size)),
                                                [this](std::span<const std::byte> frame) {
                                                    (void)delivery_.push(frame);
                                                });
    if (good) return;
    if (size > 0) log(LogLevel::kWarning, "network stream {}: the peer sends no frames", path_);
    detach();
}

// --- Sending, on any thread.

bool StreamNetwork::send_rest() {
    while (!rest_.empty()) {
        const ssize_t size =
            send(peer_.get(), rest_.data(), rest_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return false;
        if (size < 0) {
            rest_.clear();  // the peer is gone, as our thread will notice
            return true;
        }
        rest_.erase(rest_.begin(), rest_.begin() + size);
    }
    return true;
}

// Gathered, so that one call of the host takes many frames.
void StreamNetwork::send_frame(std::span<const std::byte> frame) {
    const size_t at = rest_.size();
    rest_.resize(at + StreamFraming::kPrefix);
    ethernet::store32(rest_, at, static_cast<uint32_t>(frame.size()));
    rest_.insert(rest_.end(), frame.begin(), frame.end());
}

size_t StreamNetwork::transmit(std::span<const NetworkFrame> frames) {
    MutexLock lock(mutex_);
    if (!peer_.valid()) return frames.size();  // a cable that leads nowhere
    whole_.resize(ethernet::kMaxSuperFrame);
    for (size_t i = 0; i < frames.size(); ++i) {
        if (rest_.size() >= kSendSize && !send_rest()) {
            watch_.want_write();
            return i;
        }
        const NetworkFrame& frame = frames[i];
        if (!gather_frame(frame, whole_)) continue;
        // The framing has no place for what is left to do, so it is done here.
        complete_frame(std::span(whole_).first(frame.size), frame.offload,
                       [this](std::span<const std::byte> out)
                           NO_THREAD_SAFETY_ANALYSIS { send_frame(out); });
    }
    if (!send_rest()) watch_.want_write();
    return frames.size();
}

void StreamNetwork::flush_rest() {
    MutexLock lock(mutex_);
    if (peer_.valid() && !send_rest()) watch_.want_write();
}

}  // namespace mynah
