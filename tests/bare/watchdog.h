#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace mynah::bare {

// Does something, once, if it still exists after a minute.
class Watchdog {
  public:
    explicit Watchdog(std::function<void()> bark)
        : thread_([this, bark = std::move(bark)] {
              std::unique_lock lock(mutex_);
              if (!over_.wait_for(lock, std::chrono::minutes(1), [this] { return done_; })) bark();
          }) {}
    ~Watchdog() {
        {
            const std::lock_guard lock(mutex_);
            done_ = true;
        }
        over_.notify_one();
        thread_.join();
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

  private:
    std::mutex mutex_;
    std::condition_variable over_;
    bool done_ = false;
    std::thread thread_;
};

}  // namespace mynah::bare
