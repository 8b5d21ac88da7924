#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "bus/vm_clock.h"

namespace mynah {

// The VmClock of a running machine: CLOCK_MONOTONIC since construction, and one thread that runs
// the callbacks. Arming a timer wakes that thread only if the timer became the earliest.
// Timers must be destroyed before the clock (CHECKed).
class HostClock final : public VmClock {
 public:
    HostClock();
    ~HostClock() override;
    HostClock(const HostClock&) = delete;
    HostClock& operator=(const HostClock&) = delete;

    uint64_t now_ns() const override;
    std::unique_ptr<VmTimer> create_timer(std::function<void()> callback) override;

    // How often the thread was woken before its time, for tests and statistics.
    uint64_t early_wakes() const EXCLUDES(mutex_);

 private:
    class Timer;
    // Deadline and timer; the timer's identity breaks ties.
    using Queue = std::map<std::pair<uint64_t, const Timer*>, Timer*>;

    void arm(Timer& timer, uint64_t deadline_ns) EXCLUDES(mutex_);
    void disarm(Timer& timer) EXCLUDES(mutex_);
    void forget(Timer& timer) EXCLUDES(mutex_);
    void remove(Timer& timer) REQUIRES(mutex_);
    void run();

    uint64_t epoch_ns_;  // CLOCK_MONOTONIC when the clock was made
    mutable Mutex mutex_;
    std::condition_variable changed_;   // the earliest deadline, or stop_
    std::condition_variable finished_;  // a callback has returned
    Queue queue_ GUARDED_BY(mutex_);
    Timer* running_ GUARDED_BY(mutex_) = nullptr;
    uint64_t sleeping_until_ GUARDED_BY(mutex_) = 0;  // 0: the thread is awake
    uint64_t early_wakes_ GUARDED_BY(mutex_) = 0;
    unsigned timers_ GUARDED_BY(mutex_) = 0;
    bool stop_ GUARDED_BY(mutex_) = false;
    std::thread thread_;
};

}  // namespace mynah
