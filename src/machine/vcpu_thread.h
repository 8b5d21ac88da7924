#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "cpu/address.h"
#include "cpu/cpu_signals.h"
#include "cpu/vcpu.h"
#include "host/cpu_affinity.h"
#include "machine/halt_poll.h"
#include "machine/idle_look.h"
#include "machine/run_control.h"

namespace mynah {

// What a vCPU thread tells the machine. On the vCPU's thread.
class VcpuEvents {
  public:
    virtual ~VcpuEvents() = default;
    // INIT arrived: the processor's local APIC is to be put back [SDM 3A 10.4.7.3].
    virtual void vcpu_init(VcpuIndex vcpu) = 0;
    // The processor is about to run guest code.
    virtual void vcpu_resumes(VcpuIndex vcpu) = 0;
    // The processor is about to sleep, or came from running: for clocks that hang on its TSC.
    virtual void vcpu_paused(VcpuIndex vcpu) = 0;
    virtual void vcpu_shut_down(VcpuIndex vcpu) = 0;
};

// The host thread of one virtual processor: runs it, sleeps while it is halted or waits for a
// start-up IPI, and obeys RunControl. A sleeping processor costs no host time.
class VcpuThread {
  public:
    VcpuThread(VcpuIndex index, Vcpu& vcpu, CpuSignals& signals, RunControl& control,
               VcpuEvents& events, IdleLook& idle, std::optional<uint64_t> instruction_limit);
    ~VcpuThread();
    VcpuThread(const VcpuThread&) = delete;
    VcpuThread& operator=(const VcpuThread&) = delete;

    // While the thread is not started or parked in RunControl: the state to go on from.
    enum class Begin { kRunning, kWaitForStartup };
    void prepare(const CpuState& state, Begin begin);
    // Likewise: another vCPU goes on in this one's place, from the state it has. `instructions`: how
    // many others retired before it.
    void exchange(Vcpu& vcpu, uint64_t instructions);

    void start();
    void join();
    // After start(): the thread runs on these of the host's processors only.
    Result<void> pin(const HostCpus& cpus) { return pin_thread(thread_.native_handle(), cpus); }

    // As gettid() says it; 0: it has not run yet.
    pid_t host_thread() const { return host_thread_.load(); }
    // Whose thread the caller runs on, if it is one.
    static std::optional<VcpuIndex> current();

    // A start-up IPI. Ignored unless the processor waits for one [SDM 3A 8.4.3]. Any thread.
    void startup(uint8_t vector);

  private:
    void run();
    bool step();  // false: the processor shut down
    void end_halt();
    void take_init();
    void take_startup();
    void sleep(uint32_t wake_signals);
    bool must_wake(uint32_t wake_signals) const;
    bool look_about(uint32_t wake_signals, uint64_t began_ns);
    void wake() EXCLUDES(mutex_);
    uint32_t signals_that_end_halt() const;
    bool waiting() const { return vcpu_->state().waiting_for_startup; }

    static constexpr uint32_t kNoStartup = ~uint32_t{0};

    const VcpuIndex index_;
    Vcpu* vcpu_;
    uint64_t earlier_instructions_ = 0;  // of those that were exchanged
    CpuSignals& signals_;
    RunControl& control_;
    VcpuEvents& events_;
    IdleLook& idle_;
    const std::optional<uint64_t> instruction_limit_;

    HaltPoll halt_poll_;                // own thread
    // How many INITs had been sent when a start-up IPI last counted: the first one after an INIT
    // does, wherever the processor is with that INIT, as senders may follow it up at once.
    std::atomic<uint32_t> answered_inits_{0};
    std::atomic<uint32_t> startup_vector_{kNoStartup};

    std::atomic<pid_t> host_thread_{0};
    std::atomic<bool> asleep_{false};
    Mutex mutex_;
    std::condition_variable_any woken_;
    std::thread thread_;
};

}  // namespace mynah
