#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "bus/vm_clock.h"

namespace mynah::testing {

// A clock that stands still until the test moves it. Callbacks run inside advance(), in order of
// their deadlines, with now_ns() at the deadline. Single-threaded.
class ManualClock final : public VmClock {
 public:
    uint64_t now_ns() const override { return now_ns_; }
    std::unique_ptr<VmTimer> create_timer(std::function<void()> callback) override;

    void advance(uint64_t ns) { advance_to(now_ns_ + ns); }
    void advance_to(uint64_t ns);
    // Jumps without running callbacks, as if the clock's thread did not get to run; due ones run
    // late at the next advance().
    void jump(uint64_t ns) { now_ns_ += ns; }
    // Earliest armed deadline; all ones if none.
    uint64_t next_deadline() const;
    size_t armed() const { return queue_.size(); }

 private:
    class Timer;
    uint64_t now_ns_ = 0;
    std::map<std::pair<uint64_t, const Timer*>, Timer*> queue_;
};

}  // namespace mynah::testing
