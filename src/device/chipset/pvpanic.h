#pragma once

#include <functional>

#include "bus/io_handler.h"

namespace mynah {

// A port at which a guest kernel tells that it panicked [pvpanic]. Reads say which events are
// understood. One port, 505h on a PC; any thread.
class Pvpanic final : public IoHandler {
  public:
    enum Event : uint8_t { kPanicked = 1, kCrashLoaded = 2 };

    // `panicked` is called on the vCPU's thread with no lock held.
    explicit Pvpanic(std::function<void()> panicked) : panicked_(std::move(panicked)) {}

    uint64_t read(uint64_t, unsigned) override { return kPanicked | kCrashLoaded; }
    void write(uint64_t, unsigned, uint64_t value) override {
        // A crash kernel that was loaded goes on and may write a dump: the machine runs on.
        if ((value & kPanicked) != 0 && panicked_) panicked_();
    }

  private:
    std::function<void()> panicked_;
};

}  // namespace mynah
