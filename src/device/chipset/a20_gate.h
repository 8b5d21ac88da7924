#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace mynah {

// The wire that masks address bit 20 on an AT-compatible PC: asserted (addresses pass) if port 92h
// or the keyboard controller says so. Any thread.
class A20Gate {
 public:
    enum Source : uint8_t { kKeyboardController = 1, kPort92 = 2 };

    // Told when the wire changes; on the vCPU's thread that wrote the port. Set before the machine
    // runs.
    void set_listener(std::function<void(bool enabled)> listener) {
        listener_ = std::move(listener);
    }
    void set(Source source, bool enabled) {
        const uint8_t before = enabled ? sources_.fetch_or(source)
                                       : sources_.fetch_and(static_cast<uint8_t>(~source));
        const uint8_t after =
            enabled ? before | source : static_cast<uint8_t>(before & ~source);
        if ((before != 0) != (after != 0) && listener_) listener_(after != 0);
    }
    bool enabled() const { return sources_ != 0; }

 private:
    std::atomic<uint8_t> sources_{kPort92};  // as firmware and loaders leave it
    std::function<void(bool)> listener_;
};

}  // namespace mynah
