#include "machine/paused_work.h"

namespace mynah {

Result<void> PausedWork::run(Work work, const std::function<void()>& request) {
    Job job{.work = std::move(work), .result = std::nullopt};
    {
        MutexLock lock(mutex_);
        if (closed_) return Error("the machine has ended");
        jobs_.push_back(&job);
    }
    request();
    MutexLock lock(mutex_);
    while (!job.result) done_.wait(mutex_);
    return std::move(*job.result);
}

void PausedWork::perform() {
    Job* job = nullptr;
    {
        MutexLock lock(mutex_);
        if (jobs_.empty()) return;
        job = jobs_.front();
        jobs_.pop_front();
    }
    Result<void> result = job->work();
    MutexLock lock(mutex_);
    job->result = std::move(result);
    done_.notify_all();
}

void PausedWork::close() {
    MutexLock lock(mutex_);
    closed_ = true;
    for (Job* job : jobs_) job->result = Error("the machine has ended");
    jobs_.clear();
    done_.notify_all();
}

}  // namespace mynah
