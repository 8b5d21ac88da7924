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
        kMemoryMap = 32,  // guest memory's overlays changed: cached translations are void
    };

    void raise(uint32_t signals) {
        if ((signals & kInit) != 0) inits_.fetch_add(1, std::memory_order_seq_cst);
        const uint32_t before = pending_.fetch_or(signals, std::memory_order_seq_cst);
        alarm();
        if ((before & signals) != signals && wake_) wake_();
    }
    void lower(uint32_t signals) { pending_.fetch_and(~signals, std::memory_order_seq_cst); }
    // How many INITs were raised; counted before the processor can see them.
    uint32_t inits() const { return inits_.load(std::memory_order_seq_cst); }
    uint32_t pending() const { return pending_.load(std::memory_order_relaxed); }

    // --- for the engine ---
    // Running code looks at a word of the engine's now and then, and leaves its loops when that
    // holds `value`. Set before the vCPU runs.
    void set_gate(std::atomic<uintptr_t>& gate, uintptr_t value) {
        gate_ = &gate;
        closed_ = value;
    }
    // Makes running code leave its loops soon: from any thread.
    void alarm() {
        if (gate_ == nullptr) return;
        alarmed_.store(true, std::memory_order_seq_cst);
        gate_->store(closed_, std::memory_order_seq_cst);
        if (interrupt_) interrupt_();
    }
    // For engines whose running code looks at no gate: called at every alarm, on its thread, after
    // the gate was closed. Set together with the gate.
    void set_interrupt(std::function<void()> interrupt) { interrupt_ = std::move(interrupt); }
    // Whether there was an alarm since the last call. The engine opens the gate before it asks.
    bool take_alarm() {
        return alarmed_.load(std::memory_order_relaxed) &&
               alarmed_.exchange(false, std::memory_order_seq_cst);
    }
    bool alarmed() const { return alarmed_.load(std::memory_order_relaxed); }

    // Called after a new signal was set, on the raiser's thread: wakes a halted vCPU's thread.
    // Set before the vCPU runs.
    void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

 private:
    std::atomic<uint32_t> pending_{0};
    std::atomic<uint32_t> inits_{0};
    std::function<void()> wake_;
    std::function<void()> interrupt_;
    std::atomic<uintptr_t>* gate_ = nullptr;
    uintptr_t closed_ = 0;
    std::atomic<bool> alarmed_{false};
};

}  // namespace mynah
