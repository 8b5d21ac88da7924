#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace mynah {

// A one-shot timer. All functions from any thread. The callback runs on the clock's thread with
// no lock held by the clock.
class VmTimer {
 public:
    // Waits until a callback that is under way has returned.
    virtual ~VmTimer() = default;
    // Fires once when now_ns() >= deadline_ns; replaces an earlier deadline.
    virtual void arm(uint64_t deadline_ns) = 0;
    // A callback that has begun may still be running afterwards.
    virtual void disarm() = 0;
};

// The time devices live by: nanoseconds since the machine was made, running with the host's
// monotonic clock while the machine runs. Tests use testing/manual_clock.h.
class VmClock {
 public:
    virtual ~VmClock() = default;
    virtual uint64_t now_ns() const = 0;
    virtual std::unique_ptr<VmTimer> create_timer(std::function<void()> callback) = 0;
};

}  // namespace mynah
