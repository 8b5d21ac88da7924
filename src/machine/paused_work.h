#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <optional>

#include "base/mutex.h"
#include "base/result.h"

namespace mynah {

// Work on a machine that must find all its processors parked: handed in by any thread, done by the
// one that looks after the machine.
class PausedWork {
  public:
    using Work = std::function<Result<void>()>;

    // Asks for one pause by `request`, and returns what `work` did when it is done. Error: the machine
    // has ended, or the work's own.
    Result<void> run(Work work, const std::function<void()>& request) EXCLUDES(mutex_);

    // --- the thread that looks after the machine ---
    // In a pause: does what it was asked for.
    void perform() EXCLUDES(mutex_);
    // Nothing is done any more.
    void close() EXCLUDES(mutex_);

  private:
    struct Job {
        Work work;
        std::optional<Result<void>> result;
    };

    Mutex mutex_;
    std::condition_variable_any done_;
    std::deque<Job*> jobs_ GUARDED_BY(mutex_);
    bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace mynah
