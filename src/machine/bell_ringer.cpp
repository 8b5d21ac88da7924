#include "machine/bell_ringer.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <vector>

namespace mynah {
namespace {

constexpr uint64_t kStop = 0;  // no bell has this number

}  // namespace

// The thread and what it waits with; false: the host has no more.
bool BellRinger::ready() {
    if (thread_.joinable()) return true;
    epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN, .data = {.u64 = kStop}};
    if (!epoll_.valid() || !stop_.valid() ||
        epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.fd(), &event) != 0)
        return false;
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "bells");
    return true;
}

void BellRinger::give(uint64_t id, Placed& bell) {
    if (engine_ == nullptr) return;
    bell.rung.emplace();
    if (!bell.rung->valid() || !engine_->add_bell(bell.place, bell.rung->fd())) {
        bell.rung.reset();
        return;
    }
    epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
    if (ready() && epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell.rung->fd(), &event) == 0) return;
    engine_->remove_bell(bell.place, bell.rung->fd());
    bell.rung.reset();
}

void BellRinger::take(Placed& bell) {
    if (!bell.rung) return;
    engine_->remove_bell(bell.place, bell.rung->fd());
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, bell.rung->fd(), nullptr);
}

void BellRinger::use(Engine* engine) {
    std::vector<Placed> rung;
    {
        MutexLock lock(mutex_);
        for (auto& [id, bell] : bells_) {
            take(bell);
            if (bell.rung && bell.rung->drain())
                rung.push_back({bell.bell, bell.handler, bell.place});
            bell.rung.reset();
        }
        engine_ = engine;
        for (auto& [id, bell] : bells_) give(id, bell);
    }
    for (const Placed& bell : rung) ring(bell);
}

void BellRinger::stop() {
    use(nullptr);
    if (!thread_.joinable()) return;
    stop_.signal();
    thread_.join();
}

void BellRinger::bells_placed(Space space, uint64_t start, IoHandler& handler,
                              std::span<const Bell> bells) {
    MutexLock lock(mutex_);
    for (const Bell& bell : bells) {
        const Engine::BellPlace place{.port = space == Space::kPorts,
                                      .address = start + bell.offset,
                                      .size = bell.size,
                                      .value = bell.value};
        const uint64_t id = next_++;
        const auto placed = bells_.emplace(id, Placed{bell, &handler, place}).first;
        give(id, placed->second);
    }
}

void BellRinger::take_down(IoHandler& handler, bool hear) {
    std::vector<Placed> rung;
    {
        MutexLock lock(mutex_);
        for (auto at = bells_.begin(); at != bells_.end();) {
            Placed& bell = at->second;
            if (bell.handler != &handler) {
                ++at;
                continue;
            }
            take(bell);
            if (hear && bell.rung && bell.rung->drain()) rung.push_back(std::move(bell));
            at = bells_.erase(at);
        }
        if (!hear && std::this_thread::get_id() != thread_.get_id()) {
            while (called_ == &handler) idle_.wait(mutex_);
        }
    }
    for (const Placed& bell : rung) ring(bell);
}

void BellRinger::ring(const Placed& bell) {
    rings_.fetch_add(1, std::memory_order_relaxed);
    constexpr unsigned kAnySize = 2;
    bell.handler->write(bell.bell.offset, bell.bell.size == 0 ? kAnySize : bell.bell.size,
                        bell.bell.value.value_or(0));
}

void BellRinger::hear(uint64_t id) {
    Placed bell;
    {
        MutexLock lock(mutex_);
        const auto found = bells_.find(id);
        if (found == bells_.end() || !found->second.rung || !found->second.rung->drain()) return;
        bell = {found->second.bell, found->second.handler, found->second.place};
        called_ = bell.handler;
    }
    ring(bell);
    MutexLock lock(mutex_);
    called_ = nullptr;
    idle_.notify_all();
}

void BellRinger::run() {
    std::array<epoll_event, 16> events;
    while (true) {
        const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
        for (int i = 0; i < count; ++i) {
            if (events[static_cast<size_t>(i)].data.u64 == kStop) return;
            hear(events[static_cast<size_t>(i)].data.u64);
        }
    }
}

}  // namespace mynah
