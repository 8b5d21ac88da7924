#pragma once

#include <memory>
#include <vector>

#include "bus/vm_clock.h"
#include "device/interrupt/apic_bus.h"
#include "host/run_delay.h"
#include "machine/processor.h"
#include "paravirt/kvm/kvm_host.h"

namespace mynah {

// The machine as KVM's paravirtual interface sees it: clocks, local APICs, the processors' threads.
class KvmGuestHost final : public KvmHost {
  public:
    // All outlive it; the processors may be made later, `vcpus` of them.
    KvmGuestHost(const VmClock& clock, ApicBus& apic_bus,
                 const std::vector<std::unique_ptr<Processor>>& processors, uint32_t vcpus);

    Moment now() override;
    uint64_t clock_ns() override { return clock_.now_ns(); }
    uint64_t wall_ns() override;
    bool has_run_delay() override { return has_run_delay_; }
    std::optional<uint64_t> run_delay_ns(VcpuIndex vcpu) override;
    bool send_interrupt(uint32_t apic_id, uint8_t vector) override;
    bool send_nmi(uint32_t apic_id) override;
    bool unhalt(uint32_t apic_id) override;
    void yield() override;
    void flush_tlb(VcpuIndex vcpu) override;

  private:
    const VmClock& clock_;
    ApicBus& apic_bus_;
    const std::vector<std::unique_ptr<Processor>>& processors_;
    const bool has_run_delay_;
    std::vector<std::optional<RunDelay>> run_delays_;  // from when their threads first ran
};

}  // namespace mynah
