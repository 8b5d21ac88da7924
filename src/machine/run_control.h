#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <optional>

#include "base/mutex.h"

namespace mynah {

// Why a machine came to its end.
enum class StopReason {
    kPoweredOff,        // the guest switched it off
    kReset,             // the guest reset it, and that is to end it
    kCrashed,           // a processor shut down: triple fault
    kPanicked,          // the guest's kernel says that it panicked
    kInstructionLimit,  // the operator's limits
    kTimeLimit,
    kQuit,       // the operator
    kHostError,  // the machine could not go on
};

// Lets the thread that looks after a machine and its vCPU threads agree on when to run, pause and
// end. Requests come from any thread, also from a vCPU in the middle of an instruction; they take
// effect when the vCPUs reach an instruction boundary.
class RunControl {
  public:
    // `kick` makes every vCPU thread call proceed() soon. Set before the threads start.
    void set_kick(std::function<void()> kick) { kick_ = std::move(kick); }

    // --- any thread ---
    void request_stop(StopReason reason) EXCLUDES(mutex_);  // the first one counts
    void request_reset() EXCLUDES(mutex_);
    void request_pause() EXCLUDES(mutex_);  // every request is an Event::kPaused of its own

    // --- vCPU threads ---
    // Waits while the machine is paused; false: the thread is to end.
    [[nodiscard]] bool proceed() EXCLUDES(mutex_);

    // --- the thread that looks after the machine ---
    enum class Event { kStop, kReset, kPaused, kDeadline };
    using Deadline = std::optional<std::chrono::steady_clock::time_point>;
    // Waits for a request. After kReset and kPaused, `vcpus` threads are parked in proceed().
    Event wait(unsigned vcpus, const Deadline& deadline) EXCLUDES(mutex_);
    // What was asked for with `event` is done: vCPUs run again, unless the other one is due.
    void resume(Event event) EXCLUDES(mutex_);

    std::optional<StopReason> stop_reason() const EXCLUDES(mutex_);

  private:
    std::function<void()> kick_;
    mutable Mutex mutex_;
    std::condition_variable_any changed_;
    std::optional<StopReason> stop_ GUARDED_BY(mutex_);
    bool reset_ GUARDED_BY(mutex_) = false;
    unsigned pauses_ GUARDED_BY(mutex_) = 0;
    unsigned parked_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
