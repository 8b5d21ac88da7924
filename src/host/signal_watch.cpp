#include "host/signal_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/check.h"

namespace mynah {
namespace {

sigset_t watched() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, number);
    return set;
}

}  // namespace

SignalWatch::SignalWatch(std::function<void(int)> callback) : callback_(std::move(callback)) {
    const sigset_t set = watched();
    CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
    signals_ = Fd(signalfd(-1, &set, SFD_CLOEXEC));
    stop_ = Fd(eventfd(0, EFD_CLOEXEC));
    CHECK(signals_.valid() && stop_.valid());
    thread_ = std::thread([this] { run(); });
}

SignalWatch::~SignalWatch() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof one);
    thread_.join();
    const sigset_t set = watched();
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void SignalWatch::run() {
    std::array<pollfd, 2> sources{{{stop_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    for (;;) {
        if (poll(sources.data(), sources.size(), -1) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        if (sources[0].revents != 0) return;
        signalfd_siginfo info{};
        if (read(signals_.get(), &info, sizeof info) == sizeof info) {
            callback_(static_cast<int>(info.ssi_signo));
        }
    }
}

}  // namespace mynah
