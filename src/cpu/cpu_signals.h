#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace mynah {

// What waits for a processor's attention. Set by any thread; the engine looks between blocks.
class CpuSignals {
 public:
    enum : uint32_t {
        kInterrupt = 1,  // the local APIC or the PIC has a vector; level: stays until acknowledged
        kNmi = 2,
        kInit = 4,      // INIT: run() returns VcpuExit::kInit
        kKick = 8,      // somebody wants run() to return VcpuExit::kKicked
        kSmi = 16,
    };

    void raise(uint32_t signals) {
        const uint32_t before = pending_.fetch_or(signals, std::memory_order_seq_cst);
        if ((before & signals) != signals && wake_) wake_();
    }
    void lower(uint32_t signals) { pending_.fetch_and(~signals, std::memory_order_seq_cst); }
    uint32_t pending() const { return pending_.load(std::memory_order_relaxed); }

    // Called after a new signal was set, on the raiser's thread: wakes a halted vCPU's thread.
    // Set before the vCPU runs.
    void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

 private:
    std::atomic<uint32_t> pending_{0};
    std::function<void()> wake_;
};

}  // namespace mynah
