#include "base/worker_executor.h"

#include <utility>

namespace mynah {

WorkerExecutor::~WorkerExecutor() {
    std::thread thread;
    {
        MutexLock hold(lock_);
        stopping_ = true;
        thread = std::move(thread_);
    }
    changed_.notify_all();
    if (thread.joinable()) thread.join();
}

void WorkerExecutor::post(std::function<void()> work) {
    {
        MutexLock hold(lock_);
        work_.push_back(std::move(work));
        if (!started_) {
            started_ = true;
            thread_ = std::thread([this] { run(); });
        }
    }
    changed_.notify_one();
}

void WorkerExecutor::run() {
    for (;;) {
        std::function<void()> work;
        {
            MutexLock hold(lock_);
            while (work_.empty() && !stopping_) changed_.wait(lock_);
            if (work_.empty()) return;
            work = std::move(work_.front());
            work_.pop_front();
        }
        work();
    }
}

}  // namespace mynah
