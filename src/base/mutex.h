#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define MYNAH_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define MYNAH_THREAD_ANNOTATION(x)
#endif

#define GUARDED_BY(x) MYNAH_THREAD_ANNOTATION(guarded_by(x))
#define REQUIRES(...) MYNAH_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) MYNAH_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) MYNAH_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) MYNAH_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS MYNAH_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace mynah {

// std::mutex with the annotations that Clang's thread-safety analysis checks.
class MYNAH_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
    void lock() ACQUIRE() { mutex_.lock(); }
    void unlock() RELEASE() { mutex_.unlock(); }
    std::mutex& native() { return mutex_; }

 private:
    std::mutex mutex_;
};

class MYNAH_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
    explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
    ~MutexLock() RELEASE() { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

 private:
    Mutex& mutex_;
};

}  // namespace mynah
