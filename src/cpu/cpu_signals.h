#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <functional>

namespace mynah {

// What waits for a processor's attention. Set by any thread; the engine looks between blocks. It
// belongs to the machine's processor and stays when the engine behind it is exchanged.
class CpuSignals {
 public:
    enum : uint32_t {
        kInterrupt = 1,  // the local APIC or the PIC has a vector; level: stays until acknowledged
        kNmi = 2,
        kInit = 4,      // INIT: run() returns VcpuExit::kInit
        kKick = 8,      // somebody wants run() to return VcpuExit::kKicked
        kSmi = 16,
        kMemoryMap = 32,  // guest memory's overlays changed: cached translations are void
        kUnhalt = 64,  // a halt ends without an interrupt; running code takes no notice
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
    // holds `value`. `interrupt`, of engines whose running code looks at nothing, is called at every
    // alarm, on its thread, after the gate was closed. While there is no gate; before the vCPU runs.
    void set_gate(std::atomic<uintptr_t>& gate, uintptr_t value,
                  std::function<void()> interrupt = {}) {
        closed_ = value;
        interrupt_ = std::move(interrupt);
        gate_.store(&gate, std::memory_order_seq_cst);
    }
    // The vCPU goes. On return nobody uses its gate any more, though others go on to raise.
    void clear_gate() {
        gate_.store(nullptr, std::memory_order_seq_cst);
        // Pairs with alarm(): either it sees no gate, or we see that it is at it.
        while (ringing_.load(std::memory_order_seq_cst) != 0) sched_yield();
    }
    // Makes running code leave its loops soon: from any thread.
    void alarm() {
        ringing_.fetch_add(1, std::memory_order_seq_cst);
        if (std::atomic<uintptr_t>* const gate = gate_.load(std::memory_order_seq_cst)) {
            alarmed_.store(true, std::memory_order_seq_cst);
            gate->store(closed_, std::memory_order_seq_cst);
            if (interrupt_) interrupt_();
        }
        ringing_.fetch_sub(1, std::memory_order_release);
    }
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
    // The gate, what closes it and the interrupt: of one vCPU, read by those who ring.
    std::atomic<std::atomic<uintptr_t>*> gate_{nullptr};
    std::atomic<uint32_t> ringing_{0};
    uintptr_t closed_ = 0;
    std::function<void()> interrupt_;
    std::atomic<bool> alarmed_{false};
};

}  // namespace mynah
