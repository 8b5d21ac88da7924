#include "backend/vhost/vhost_link.h"

#include <fmt/core.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "backend/vhost/vhost_user_client.h"
#include "base/log.h"

namespace mynah {

Result<std::unique_ptr<VhostLink>> VhostLink::open(const std::string& path,
                                                   const std::string& origin, uint16_t most_queues,
                                                   uint64_t wanted) {
    return open(
        path, origin, most_queues, [path, wanted]() -> Result<std::unique_ptr<VhostClient>> {
            return std::unique_ptr<VhostClient>(TRY(VhostUserClient::connect(path, wanted)));
        });
}

Result<std::unique_ptr<VhostLink>> VhostLink::open(const std::string& path,
                                                   const std::string& origin, uint16_t most_queues,
                                                   Connector connect) {
    std::unique_ptr<VhostLink> link(new VhostLink(path, origin, std::move(connect)));
    auto client = link->connect();
    if (!client) return Error(fmt::format("{}{}", origin, client.error().message()));
    link->first_ = client.take_value();
    TRY(link->make_bells(most_queues));
    return link;
}

Result<void> VhostLink::make_bells(uint16_t queues) {
    bells_ = std::vector<Bells>(queues);
    bool valid = wake_.valid();
    for (const Bells& bells : bells_) valid &= bells.kick.valid() && bells.call.valid();
    if (!valid)
        return Error(fmt::format("{}{}: eventfd: {}", origin_, path_, std::strerror(errno)));
    return {};
}

Result<std::unique_ptr<VhostClient>> VhostLink::connect() {
    auto client = TRY(connect_());
    client_ = client.get();
    return client;
}

void VhostLink::start(VhostLinkEvents& events) {
    events_ = &events;
    thread_ = std::thread([this] { run(); });
}

void VhostLink::stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake_.signal();
    thread_.join();
}

void VhostLink::run() {
    while (!stopping_) {
        wait_once();
        if (client_ == nullptr && !stopping_) retry();
    }
}

void VhostLink::wait_once() {
    std::vector<pollfd> fds;
    fds.push_back({wake_.fd(), POLLIN, 0});
    const VhostClient::Watch end = client_ != nullptr ? client_->end() : VhostClient::Watch{};
    fds.push_back({end.fd, end.events, 0});
    fds.push_back({client_ != nullptr ? client_->news() : -1, POLLIN, 0});
    constexpr size_t kFirstCall = 3;
    for (const Bells& bells : bells_) fds.push_back({bells.call.fd(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), client_ == nullptr ? kRetryMs : -1) < 0) return;
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
        if (client_->take_news()) events_->config_changed();
    }
}

void VhostLink::lose() {
    log(LogLevel::kWarning, "{}{}: the back end went away; waiting for another", origin_, path_);
    client_ = nullptr;
    events_->lost();
}

void VhostLink::retry() {
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
    client_ = nullptr;
    // Said once for each reason, and not while merely nobody is there.
    if (client && taken.error().message() != last_failure_) {
        last_failure_ = taken.error().message();
        log(LogLevel::kWarning, "{}{}: {}", origin_, path_, last_failure_);
    }
}

}  // namespace mynah
