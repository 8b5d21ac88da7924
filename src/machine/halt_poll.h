#pragma once

#include <algorithm>
#include <cstdint>

namespace mynah {

// How long a halted processor looks about before its thread goes to sleep. Waking a thread costs
// some 75 microseconds on virtual hosts, most of what a request or a packet takes; but looking
// costs processor time. So the window opens while processors are woken soon after they went to
// sleep, and closes when that takes longer: an idle machine does not look at all.
// Nanoseconds. Single-threaded.
class HaltPoll {
  public:
    static constexpr uint64_t kFirst = 20'000, kMost = 200'000;

    uint64_t window() const { return window_; }
    // The thread slept, the time including what it had looked about before.
    void slept(uint64_t ns) {
        if (ns > kMost) {
            window_ = 0;
        } else {
            window_ = window_ == 0 ? kFirst : std::min(2 * window_, kMost);
        }
    }

  private:
    uint64_t window_ = 0;
};

}  // namespace mynah
