#pragma once

#include <fmt/core.h>

#include <string>
#include <vector>

#include "backend/display/input_sink.h"
#include "base/mutex.h"

namespace mynah::testing {

// Writes down what a person did. Any thread.
class RecordingInput final : public InputSink {
  public:
    void key(uint16_t code, bool pressed) override {
        add(fmt::format("key {} {}", code, pressed ? "down" : "up"));
    }
    void point(const Place& place) override {
        add(fmt::format("at {},{} of {}x{}", place.x, place.y, place.width, place.height));
    }
    void button(PointerButton button, bool pressed) override {
        add(fmt::format("button {} {}", static_cast<int>(button), pressed ? "down" : "up"));
    }
    void wheel(int vertical, int horizontal) override {
        add(fmt::format("wheel {} {}", vertical, horizontal));
    }
    std::vector<std::string> take() EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        return std::exchange(events_, {});
    }

  private:
    void add(std::string event) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        events_.push_back(std::move(event));
    }
    Mutex mutex_;
    std::vector<std::string> events_ GUARDED_BY(mutex_);
};

}  // namespace mynah::testing
