#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "bus/vm_clock.h"

namespace mynah {

// The VmClock of a running machine: CLOCK_MONOTONIC since construction, and one thread that runs
// the callbacks, asleep in a timerfd. Arming a timer that becomes the earliest moves the timerfd
// forward; it wakes nobody. Timers must be destroyed before the clock, and not from a callback of
// this clock (CHECKed).
class HostClock final : public VmClock {
 public:
    HostClock();
    ~HostClock() override;
    HostClock(const HostClock&) = delete;
    HostClock& operator=(const HostClock&) = delete;

    uint64_t now_ns() const override;
    std::unique_ptr<VmTimer> create_timer(std::function<void()> callback) override;

    // How often the thread woke up and how often arm() moved the host's timer: for tests and
    // statistics.
    struct Counts {
        uint64_t wakes, moves;
    };
    Counts counts() const EXCLUDES(mutex_);

 private:
    class Timer;
    // Deadline and timer; the timer's identity breaks ties.
    using Queue = std::set<std::pair<uint64_t, Timer*>>;

    void arm(Timer& timer, uint64_t deadline_ns) EXCLUDES(mutex_);
    void disarm(Timer& timer) EXCLUDES(mutex_);
    void forget(Timer& timer) EXCLUDES(mutex_);
    void remove(Timer& timer) REQUIRES(mutex_);
    void program(uint64_t deadline_ns) REQUIRES(mutex_);
    void run_due_callbacks() EXCLUDES(mutex_);
    void run() EXCLUDES(mutex_);

    static constexpr uint64_t kNever = ~uint64_t{0};

    const uint64_t epoch_ns_;  // CLOCK_MONOTONIC when the clock was made
    const int timer_fd_;
    mutable Mutex mutex_;
    std::condition_variable_any finished_;  // a callback has returned
    Queue queue_ GUARDED_BY(mutex_);
    Timer* running_ GUARDED_BY(mutex_) = nullptr;
    uint64_t programmed_ GUARDED_BY(mutex_) = kNever;  // when the timerfd fires
    Counts counts_ GUARDED_BY(mutex_) = {0, 0};
    unsigned timers_ GUARDED_BY(mutex_) = 0;
    bool stop_ GUARDED_BY(mutex_) = false;
    std::thread thread_;
};

}  // namespace mynah
