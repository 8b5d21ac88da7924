#include "machine/run_control.h"

namespace mynah {

void RunControl::request_stop(StopReason reason) {
    {
        MutexLock lock(mutex_);
        if (!stop_) stop_ = reason;
    }
    changed_.notify_all();
    if (kick_) kick_();
}

void RunControl::request_reset() {
    {
        MutexLock lock(mutex_);
        reset_ = true;
    }
    changed_.notify_all();
    if (kick_) kick_();
}

void RunControl::request_pause() {
    {
        MutexLock lock(mutex_);
        ++pauses_;
    }
    changed_.notify_all();
    if (kick_) kick_();
}

bool RunControl::proceed() {
    MutexLock lock(mutex_);
    if (!stop_ && !reset_ && pauses_ == 0) return true;
    ++parked_;
    changed_.notify_all();
    while (!stop_ && (reset_ || pauses_ != 0)) changed_.wait(mutex_);
    --parked_;
    return !stop_;
}

RunControl::Event RunControl::wait(unsigned vcpus, const Deadline& deadline) {
    MutexLock lock(mutex_);
    while (!stop_) {
        if (reset_ && parked_ == vcpus) return Event::kReset;
        if (pauses_ != 0 && parked_ == vcpus) return Event::kPaused;
        if (!deadline) {
            changed_.wait(mutex_);
        } else if (changed_.wait_until(mutex_, *deadline) == std::cv_status::timeout) {
            return Event::kDeadline;
        }
    }
    return Event::kStop;
}

void RunControl::resume(Event event) {
    {
        MutexLock lock(mutex_);
        if (event == Event::kReset) reset_ = false;
        if (event == Event::kPaused) --pauses_;
    }
    changed_.notify_all();
}

std::optional<StopReason> RunControl::stop_reason() const {
    MutexLock lock(mutex_);
    return stop_;
}

}  // namespace mynah
