#include "backend/vhost/vhost_user_link.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace mynah {

using namespace vhost_user;

Result<std::unique_ptr<VhostUserLink>> VhostUserLink::open(const std::string& path,
                                                           const std::string& origin,
                                                           uint16_t most_queues,
                                                           uint64_t wanted) {
    std::unique_ptr<VhostUserLink> link(new VhostUserLink(path, origin, wanted));
    auto client = link->connect();
    if (!client) return Error(fmt::format("{}{}", origin, client.error().message()));
    link->first_ = client.take_value();
    TRY(link->make_bells(most_queues));
    return link;
}

Result<void> VhostUserLink::make_bells(uint16_t queues) {
    bells_ = std::vector<Bells>(queues);
    bool valid = wake_.valid();
    for (const Bells& bells : bells_) valid &= bells.kick.valid() && bells.call.valid();
    if (!valid)
        return Error(fmt::format("{}{}: eventfd: {}", origin_, path_, std::strerror(errno)));
    return {};
}

Result<std::unique_ptr<VhostUserClient>> VhostUserLink::connect() {
    auto client = TRY(VhostUserClient::connect(path_, wanted_));
    requests_.reset();
    if (client->has(kProtocolBackendReq)) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            return Error(fmt::format("{}: socketpair: {}", path_, std::strerror(errno)));
        requests_ = Fd(pair[0]);
        const Fd theirs(pair[1]);
        TRY(client->set_backend_socket(theirs.get()));
    }
    socket_ = client->socket();
    return client;
}

void VhostUserLink::start(VhostUserLinkEvents& events) {
    events_ = &events;
    thread_ = std::thread([this] { run(); });
}

void VhostUserLink::stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake_.signal();
    thread_.join();
}

void VhostUserLink::run() {
    while (!stopping_) {
        wait_once();
        if (socket_ < 0 && !stopping_) retry();
    }
}

void VhostUserLink::wait_once() {
    std::vector<pollfd> fds;
    fds.push_back({wake_.fd(), POLLIN, 0});
    // What can be read here is an answer that somebody else waits for: only the end is looked for.
    fds.push_back({socket_, POLLRDHUP, 0});
    fds.push_back({socket_ < 0 ? -1 : requests_.get(), POLLIN, 0});
    constexpr size_t kFirstCall = 3;
    for (const Bells& bells : bells_) fds.push_back({bells.call.fd(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), socket_ < 0 ? kRetryMs : -1) < 0) return;
    if (fds[0].revents != 0) wake_.drain();
    for (size_t i = kFirstCall; i < fds.size(); ++i) {
        if ((fds[i].revents & POLLIN) == 0) continue;
        const size_t queue = i - kFirstCall;
        bells_[queue].call.drain();
        events_->called(static_cast<uint16_t>(queue));
    }
    if (fds[1].revents != 0) {
        lose();
    } else if (fds[2].revents != 0) {
        serve_backend_request();
    }
}

void VhostUserLink::lose() {
    log(LogLevel::kWarning, "{}{}: the back end went away; waiting for another", origin_, path_);
    socket_ = -1;
    requests_.reset();
    events_->lost();
}

void VhostUserLink::retry() {
    auto client = connect();
    Result<void> taken;
    if (client) {
        taken = events_->found(client.take_value());
    } else {
        taken = client.take_error();
    }
    if (taken) {
        log(LogLevel::kWarning, "{}{}: the back end is back", origin_, path_);
        last_failure_.clear();
        return;
    }
    socket_ = -1;
    requests_.reset();
    // Said once for each reason, and not while merely nobody is there.
    if (client && taken.error().message() != last_failure_) {
        last_failure_ = taken.error().message();
        log(LogLevel::kWarning, "{}{}: {}", origin_, path_, last_failure_);
    }
}

void VhostUserLink::serve_backend_request() {
    if (!receive_vhost_user(requests_.get(), message_, kMessageMs)) {
        requests_.reset();
        return;
    }
    const bool known = message_.request == static_cast<uint32_t>(BackendRequest::kConfigChange);
    // Answered before anything is asked of the back end, which may be waiting for this.
    if (message_.needs_reply()) {
        const uint64_t status = known ? 0 : 1;
        (void)send_vhost_user(requests_.get(), message_.request, kFlagReply,
                              std::as_bytes(std::span(&status, 1)), {}, kMessageMs);
    }
    if (known) events_->config_changed();
}

}  // namespace mynah
