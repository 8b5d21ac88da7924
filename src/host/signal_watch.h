#pragma once

#include <functional>
#include <thread>

#include "host/fd.h"

namespace mynah {

// Receives SIGINT, SIGTERM, SIGHUP and SIGQUIT on a thread of its own instead of by handlers. Made
// on the main thread before any other thread, since it blocks the signals for all that follow.
class SignalWatch {
  public:
    explicit SignalWatch(std::function<void(int signal)> callback);
    // Unblocks them again.
    ~SignalWatch();
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

  private:
    void run();

    std::function<void(int)> callback_;
    Fd signals_;
    Fd stop_;
    std::thread thread_;
};

}  // namespace mynah
