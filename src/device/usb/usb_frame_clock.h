#pragma once

#include <algorithm>
#include <cstdint>

namespace mynah {

// Counts frames or microframes with the clock, so that the count goes on while nobody polls.
class UsbFrameClock {
  public:
    explicit UsbFrameClock(uint64_t frame_ns) : frame_ns_(frame_ns) {}

    bool running() const { return running_; }
    void set_running(bool on, uint64_t now_ns) {
        if (on == running_) return;
        set(index(now_ns), now_ns);
        running_ = on;
    }
    uint64_t index(uint64_t now_ns) const {
        return base_ + (running_ ? (now_ns - since_ns_) / frame_ns_ : 0);
    }
    void set(uint64_t index, uint64_t now_ns) {
        base_ = index;
        since_ns_ = now_ns;
    }

  private:
    uint64_t frame_ns_;
    bool running_ = false;
    uint64_t base_ = 0;
    uint64_t since_ns_ = 0;
};

// When to look at schedules in memory, which drivers change without telling: often while something
// moves, each millisecond for a while after, more rarely when nothing happens, never while nothing
// could.
class UsbPolling {
  public:
    static constexpr uint64_t kBusyNs = 125'000, kAwakeNs = 1'000'000, kIdleNs = 8'000'000;
    static constexpr uint64_t kBusyForNs = 3'000'000, kAwakeForNs = 100'000'000;

    void active(uint64_t now_ns) { last_active_ns_ = now_ns; }
    // took_ns: how long the last look took. A guest whose schedules are laborious pays for it: at
    // most half of the time goes there.
    void schedule(bool wanted, uint64_t now_ns, uint64_t took_ns = 0) {
        const uint64_t quiet = now_ns - last_active_ns_;
        const uint64_t pause = quiet < kBusyForNs    ? kBusyNs
                               : quiet < kAwakeForNs ? kAwakeNs
                                                     : kIdleNs;
        next_ns_ = wanted ? now_ns + std::max(pause, took_ns) : ~uint64_t{0};
    }
    void soon(uint64_t now_ns) {
        active(now_ns);
        if (next_ns_ > now_ns + kBusyNs) next_ns_ = now_ns + kBusyNs;
    }
    uint64_t next_ns() const { return next_ns_; }

  private:
    uint64_t last_active_ns_ = 0;
    uint64_t next_ns_ = ~uint64_t{0};
};

}  // namespace mynah
