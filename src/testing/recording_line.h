#pragma once

#include <atomic>
#include <cstdint>

#include "bus/interrupt_line.h"

namespace mynah::testing {

// Remembers what a device does with its interrupt line. Any thread.
class RecordingLine final : public InterruptLine {
 public:
    void set(bool level) override {
        const bool before = level_.exchange(level);
        if (level && !before) ++rises_;
        ++calls_;
    }
    bool level() const { return level_; }
    uint32_t rises() const { return rises_; }
    uint32_t calls() const { return calls_; }

 private:
    std::atomic<bool> level_{false};
    std::atomic<uint32_t> rises_{0};
    std::atomic<uint32_t> calls_{0};
};

}  // namespace mynah::testing
