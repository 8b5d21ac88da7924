#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "host/fd.h"

namespace mynah {

// A counter in the kernel that wakes whoever polls it: how a thread, or another process, is told
// that there is something to look at. Any thread.
class EventFd {
  public:
    EventFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    // Somebody else's, received over a socket.
    explicit EventFd(Fd fd) : fd_(std::move(fd)) {}

    bool valid() const { return fd_.valid(); }
    int fd() const { return fd_.get(); }

    void signal() const {
        const uint64_t one = 1;
        (void)!write(fd_.get(), &one, sizeof one);  // full: a wake-up is due already
    }
    // True if it was signalled since the last time.
    bool drain() const {
        uint64_t count = 0;
        return read(fd_.get(), &count, sizeof count) == sizeof count;
    }

  private:
    Fd fd_;
};

}  // namespace mynah
