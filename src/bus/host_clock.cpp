#include "bus/host_clock.h"

#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"

namespace mynah {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
// timerfd wants a time that fits time_t; a timer beyond this (31 years) fires early and is put
// back to sleep.
constexpr uint64_t kFurthestNs = kNsPerSecond * 1'000'000'000;

uint64_t monotonic_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

class HostClock::Timer final : public VmTimer {
 public:
    Timer(HostClock& clock, std::function<void()> callback)
        : clock_(clock), callback_(std::move(callback)) {}
    ~Timer() override { clock_.forget(*this); }
    void arm(uint64_t deadline_ns) override { clock_.arm(*this, deadline_ns); }
    void disarm() override { clock_.disarm(*this); }

 private:
    friend class HostClock;
    HostClock& clock_;
    const std::function<void()> callback_;
    bool armed_ = false;  // in the clock's queue at deadline_; the clock's mutex guards both
    uint64_t deadline_ = 0;
};

HostClock::HostClock()
    : epoch_ns_(monotonic_ns()), timer_fd_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
    CHECK(timer_fd_ >= 0);
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "clock");
}

HostClock::~HostClock() {
    {
        MutexLock lock(mutex_);
        CHECK(timers_ == 0);
        stop_ = true;
        program(0);
    }
    thread_.join();
    close(timer_fd_);
}

uint64_t HostClock::now_ns() const { return monotonic_ns() - epoch_ns_; }

std::unique_ptr<VmTimer> HostClock::create_timer(std::function<void()> callback) {
    MutexLock lock(mutex_);
    ++timers_;
    return std::make_unique<Timer>(*this, std::move(callback));
}

HostClock::Counts HostClock::counts() const {
    MutexLock lock(mutex_);
    return counts_;
}

void HostClock::arm(Timer& timer, uint64_t deadline_ns) {
    MutexLock lock(mutex_);
    remove(timer);
    timer.armed_ = true;
    timer.deadline_ = deadline_ns;
    queue_.emplace(deadline_ns, &timer);
    // An earlier wake-up that was programmed for a timer since disarmed stays: it costs one
    // needless wake, moving it would cost a system call at every disarm. While callbacks run,
    // programmed_ is 0: the thread looks at the queue before it sleeps.
    if (deadline_ns < programmed_) {
        ++counts_.moves;
        program(deadline_ns);
    }
}

void HostClock::disarm(Timer& timer) {
    MutexLock lock(mutex_);
    remove(timer);
}

void HostClock::forget(Timer& timer) {
    CHECK(std::this_thread::get_id() != thread_.get_id());
    MutexLock lock(mutex_);
    remove(timer);
    while (running_ == &timer) finished_.wait(mutex_);
    // The callback may have armed it again.
    remove(timer);
    --timers_;
}

void HostClock::remove(Timer& timer) {
    if (!timer.armed_) return;
    timer.armed_ = false;
    queue_.erase({timer.deadline_, &timer});
}

// All zero would stop the timerfd, hence at least one nanosecond.
void HostClock::program(uint64_t deadline_ns) {
    programmed_ = deadline_ns;
    itimerspec when{};
    if (deadline_ns != kNever) {
        const uint64_t at = epoch_ns_ + std::min(deadline_ns, kFurthestNs);
        when.it_value.tv_sec = static_cast<time_t>(at / kNsPerSecond);
        when.it_value.tv_nsec = static_cast<long>(at % kNsPerSecond) | 1;
    }
    CHECK(timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

void HostClock::run_due_callbacks() {
    for (;;) {
        Timer* timer;
        {
            MutexLock lock(mutex_);
            if (stop_) return;
            if (queue_.empty() || queue_.begin()->first > now_ns()) {
                program(queue_.empty() ? kNever : queue_.begin()->first);
                return;
            }
            timer = queue_.begin()->second;
            remove(*timer);
            running_ = timer;
        }
        timer->callback_();
        MutexLock lock(mutex_);
        running_ = nullptr;
        finished_.notify_all();
    }
}

void HostClock::run() {
    for (;;) {
        run_due_callbacks();
        {
            MutexLock lock(mutex_);
            if (stop_) return;
        }
        uint64_t expirations;
        [[maybe_unused]] const ssize_t got = read(timer_fd_, &expirations, sizeof expirations);
        MutexLock lock(mutex_);
        ++counts_.wakes;
        programmed_ = 0;
    }
}

}  // namespace mynah
