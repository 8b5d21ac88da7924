#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "host/fd.h"

struct Slirp;

namespace mynah {

// The host's sockets that libslirp waits for, in an epoll set that follows its wishes, and its next
// deadline, in a timerfd. Under the lock of the stack; only the descriptors may be waited for
// without it.
class SlirpPoller {
  public:
    static Result<void> open(SlirpPoller& poller);

    int sockets_fd() const { return sockets_.get(); }  // readable: poll() has work
    int timer_fd() const { return timer_.get(); }      // likewise

    // Takes over what libslirp wants now; after everything that was done to it. extra_deadline_ms:
    // of a timer of its own, all ones if there is none.
    void follow(Slirp* slirp, uint64_t now_ms, uint64_t extra_deadline_ms);
    // Tells libslirp which sockets are ready. follow() must have been called since the last change.
    void poll(Slirp* slirp);
    // The descriptor is about to be closed.
    void forget(int fd);

  private:
    struct Watched {
        uint32_t events = 0;      // of EPOLL
        uint64_t generation = 0;  // of the last follow() that wanted it
    };
    static int add_poll(int fd, int events, void* opaque);
    static int revents(int index, void* opaque);
    void watch(int fd, uint32_t events);
    void arm(uint64_t deadline_ms);

    Fd sockets_, timer_;
    std::unordered_map<int, Watched> watched_;
    std::vector<int> order_;                   // descriptors by libslirp's index
    std::unordered_map<int, uint32_t> ready_;  // EPOLL events by descriptor, during poll()
    uint64_t generation_ = 0;
    uint64_t armed_ms_ = ~uint64_t{0};
};

}  // namespace mynah
