#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>

#include "base/executor.h"
#include "base/mutex.h"

namespace mynah {

// One thread that does what it is given, in order: for work that would block a processor. The
// thread starts with the first work, so an executor that is never used costs nothing.
class WorkerExecutor final : public Executor {
  public:
    WorkerExecutor() = default;
    // Waits until everything posted is done.
    ~WorkerExecutor() override;
    WorkerExecutor(const WorkerExecutor&) = delete;
    WorkerExecutor& operator=(const WorkerExecutor&) = delete;

    // Any thread, also from within work.
    void post(std::function<void()> work) override;

  private:
    void run();

    Mutex lock_;
    std::condition_variable_any changed_;
    std::deque<std::function<void()>> work_ GUARDED_BY(lock_);
    bool stopping_ GUARDED_BY(lock_) = false;
    bool started_ GUARDED_BY(lock_) = false;
    std::thread thread_ GUARDED_BY(lock_);
};

}  // namespace mynah
