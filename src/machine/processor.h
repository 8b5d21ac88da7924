#pragma once

#include <memory>

#include "cpu/cpuid_policy.h"
#include "device/interrupt/local_apic.h"
#include "engine/engine.h"
#include "machine/vcpu_ports.h"
#include "machine/vcpu_thread.h"

namespace mynah {

// What processors of one machine share. All outlive them.
struct ProcessorContext {
    Engine& engine;
    const CpuidPolicy& cpuid;
    IoSpace& ports;
    IoSpace& memory_space;
    ApicBus& apic_bus;
    ExternalInterrupts& external_interrupts;
    VmClock& clock;
    RunControl& control;
    VcpuEvents& events;
    IdleLook& idle;
    ParavirtKvm* kvm;  // null: the guest does not see it
    uint64_t tsc_hz;
    std::optional<uint64_t> instruction_limit;
};

// One virtual processor: the vCPU on its engine, its local APIC, what it reaches, and its host
// thread.
class Processor {
  public:
    Processor(const ProcessorContext& context, VcpuIndex index);

    VcpuThread& thread() { return thread_; }
    Vcpu& vcpu() { return *vcpu_; }
    CpuSignals& signals() { return signals_; }
    LocalApic& apic() { return apic_; }

    // Power-up and reset, while the thread is parked or not started. `state`: what it begins with.
    void reset(const CpuState& state, VcpuThread::Begin begin);
    // The engine is exchanged while the thread is parked: the vCPU on the old one goes, and then one
    // on the new one carries on from its state.
    void leave_engine();
    void enter_engine(Engine& engine);
    // Of all engines so far.
    VcpuStatistics statistics() const;
    // Own thread, before it runs guest code and after it did.
    void resumes();
    void paused();
    // INIT: what is the processor's beside its state. Own thread.
    void init();

  private:
    void note_tsc();
    LocalApic::Config apic_config(const ProcessorContext& context, VcpuIndex index);

    const VcpuIndex index_;
    ParavirtKvmVcpu* const kvm_;  // null: none
    uint64_t tsc_offset_seen_ = 0;
    CpuState between_engines_;
    VcpuStatistics earlier_;  // of vCPUs that were exchanged
    CpuSignals signals_;  // outlives the engine behind vcpu_
    VcpuPorts ports_;
    std::unique_ptr<Vcpu> vcpu_;
    LocalApic apic_;
    VcpuThread thread_;  // last: it uses the rest
};

}  // namespace mynah
