#include "backend/network/slirp_poller.h"

#include <slirp/libslirp.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace mynah {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};

struct EventPair {
    int slirp;
    uint32_t epoll;
};
constexpr EventPair kEvents[] = {{SLIRP_POLL_IN, EPOLLIN},
                                 {SLIRP_POLL_OUT, EPOLLOUT},
                                 {SLIRP_POLL_PRI, EPOLLPRI},
                                 {SLIRP_POLL_ERR, EPOLLERR},
                                 {SLIRP_POLL_HUP, EPOLLHUP}};

}  // namespace

Result<void> SlirpPoller::open(SlirpPoller& poller) {
    poller.sockets_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    poller.timer_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!poller.sockets_.valid() || !poller.timer_.valid()) return Error(std::strerror(errno));
    return {};
}

void SlirpPoller::watch(int fd, uint32_t events) {
    const auto [entry, is_new] = watched_.try_emplace(fd);
    entry->second.generation = generation_;
    if (!is_new && entry->second.events == events) return;
    entry->second.events = events;
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(sockets_.get(), is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) == 0) return;
    // A descriptor that was closed and is another one now.
    if (epoll_ctl(sockets_.get(), is_new ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        watched_.erase(fd);
    }
}

int SlirpPoller::add_poll(int fd, int events, void* opaque) {
    auto& self = *static_cast<SlirpPoller*>(opaque);
    uint32_t wanted = 0;
    for (const EventPair& pair : kEvents) {
        if ((events & pair.slirp) != 0) wanted |= pair.epoll;
    }
    self.watch(fd, wanted);
    self.order_.push_back(fd);
    return static_cast<int>(self.order_.size()) - 1;
}

int SlirpPoller::revents(int index, void* opaque) {
    auto& self = *static_cast<SlirpPoller*>(opaque);
    if (index < 0 || static_cast<size_t>(index) >= self.order_.size()) return 0;
    const auto found = self.ready_.find(self.order_[static_cast<size_t>(index)]);
    if (found == self.ready_.end()) return 0;
    int events = 0;
    for (const EventPair& pair : kEvents) {
        if ((found->second & pair.epoll) != 0) events |= pair.slirp;
    }
    return events;
}

void SlirpPoller::follow(Slirp* slirp, uint64_t now_ms, uint64_t extra_deadline_ms) {
    constexpr uint32_t kForever = 0xffffffff;
    ++generation_;
    order_.clear();
    uint32_t timeout_ms = kForever;
    slirp_pollfds_fill(slirp, &timeout_ms, add_poll, this);
    // A socket nobody waits for would still report that its peer hung up.
    for (auto entry = watched_.begin(); entry != watched_.end();) {
        if (entry->second.generation == generation_) {
            ++entry;
            continue;
        }
        epoll_ctl(sockets_.get(), EPOLL_CTL_DEL, entry->first, nullptr);
        entry = watched_.erase(entry);
    }
    arm(std::min(timeout_ms == kForever ? kNever : now_ms + timeout_ms, extra_deadline_ms));
}

// Moved only when it becomes earlier or has passed: a timer that fires for nothing costs less than
// a system call for each packet.
void SlirpPoller::arm(uint64_t deadline_ms) {
    if (deadline_ms >= armed_ms_) return;
    armed_ms_ = deadline_ms;
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(deadline_ms / 1000);
    when.it_value.tv_nsec = static_cast<long>(deadline_ms % 1000 * 1'000'000) + 1;
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void SlirpPoller::poll(Slirp* slirp) {
    uint64_t fired;
    if (read(timer_.get(), &fired, sizeof fired) > 0) armed_ms_ = kNever;
    std::array<epoll_event, 64> events;  // those beyond come with the next call
    const int count = epoll_wait(sockets_.get(), events.data(), events.size(), 0);
    ready_.clear();
    for (int i = 0; i < count; ++i) ready_[events[i].data.fd] = events[i].events;
    slirp_pollfds_poll(slirp, count < 0 && errno != EINTR ? 1 : 0, revents, this);
}

void SlirpPoller::forget(int fd) {
    if (watched_.erase(fd) > 0) epoll_ctl(sockets_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

}  // namespace mynah
