#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "paravirt/kvm/kvm_host.h"

namespace mynah::testing {

// A machine around KVM's paravirtual interface that keeps what it was asked for.
class RecordingKvmHost : public KvmHost {
  public:
    Moment now() override { return {tsc, ns}; }
    uint64_t clock_ns() override { return ns; }
    uint64_t wall_ns() override { return wall; }
    bool has_run_delay() override { return counts_delay; }
    std::optional<uint64_t> run_delay_ns(VcpuIndex) override {
        ++delay_asked;
        return delay;
    }
    bool send_interrupt(uint32_t apic_id, uint8_t vector) override {
        interrupts.emplace_back(apic_id, vector);
        return apic_id < processors;
    }
    bool send_nmi(uint32_t apic_id) override {
        nmis.push_back(apic_id);
        return apic_id < processors;
    }
    bool unhalt(uint32_t apic_id) override {
        unhalted.push_back(apic_id);
        return apic_id < processors;
    }
    void yield() override { ++yields; }
    void flush_tlb(VcpuIndex vcpu) override { flushed.push_back(vcpu.value); }

    uint32_t processors = 2;
    uint64_t tsc = 0, ns = 0, wall = 0, delay = 0;
    bool counts_delay = true;
    unsigned delay_asked = 0, yields = 0;
    std::vector<std::pair<uint32_t, uint8_t>> interrupts;
    std::vector<uint32_t> nmis, unhalted, flushed;
};

}  // namespace mynah::testing
