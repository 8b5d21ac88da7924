#pragma once

#include <linux/kvm.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "cpu/vcpu.h"
#include "engine/kvm/kvm_machine.h"
#include "engine/kvm/kvm_registers.h"

namespace mynah::kvm {

// One processor on KVM. Where the kernel has the local APIC (KvmMachine::interrupts), halts, INIT and
// start-up are its business too, and what is injected here are external interrupts, of the PIC.
// Else all interrupts are injected here, halts come back, and CR8 and the APIC's registers are its
// ports'.
//
// CpuState is what KVM keeps, fetched when somebody asks and handed back when it was changed; the
// time stamp's offset and the registers of msr_table.h that KVM does not run with live only in it.
class KvmVcpu final : public Vcpu {
  public:
    KvmVcpu(KvmMachine& machine, CpuPorts& ports, CpuSignals& signals, VcpuIndex index);
    ~KvmVcpu() override;

    CpuState& state() override;
    void state_changed() override { changed_ = map_changed_ = true; }
    VcpuExit run(uint64_t instruction_limit) override;
    VcpuStatistics statistics() const override;
    void apic_changed() override;
    bool has_apic() const override { return has_apic_; }
    void leave() override;

  private:
    void interrupt();
    std::optional<VcpuExit> attend();
    std::optional<VcpuExit> complete();
    void inject();
    std::optional<VcpuExit> enter();
    std::optional<VcpuExit> handle_exit();
    void handle_io();
    void handle_mmio();
    void handle_msr(bool write);
    VcpuExit fail(const std::string& why);
    VcpuExit fail_by_exit();
    void push_tsc();
    Result<void> push_state();
    Result<void> push_apic(const ApicImage& image);
    std::optional<ApicImage> pull_apic();
    std::optional<uint8_t> undelivered();
    void push_paravirt(const ParavirtMsrs& written);
    ParavirtMsrs pull_paravirt();
    uint64_t guest_tsc() const;

    KvmMachine& machine_;
    CpuPorts& ports_;
    CpuSignals& signals_;
    const Handle& vcpu_;
    kvm_run* const run_;
    Registers& registers_;
    const bool has_apic_;  // inside
    std::optional<uint8_t> external_;  // that was handed over last
    std::string broken_;               // why it cannot run
    CpuState state_;
    bool stale_ = false;     // KVM has run since state_ was fetched
    bool changed_ = true;    // state_ is to be handed to KVM
    bool map_changed_ = true;  // KVM may not have the memory map as it is
    uint64_t tsc_offset_ = 0;  // that KVM has
    bool tsc_known_ = false;
    bool completes_ = false;  // the next entry completes an access that was answered
    std::atomic<uintptr_t> gate_{0};
    std::atomic<pthread_t> thread_{};
    std::atomic<bool> inside_{false};
    std::array<uint64_t, 32> exits_{};  // by reason
    uint64_t interrupts_ = 0;
};

// What an exit means that ends a machine, in words, a line each [SDM 3C 26.8; AMD APM2 15.5]: for
// KVM_EXIT_FAIL_ENTRY with the checks that `state` fails, for KVM_EXIT_INTERNAL_ERROR with the
// instruction.
std::vector<std::string> describe_failure(const kvm_run& run, const CpuState& state,
                                          unsigned physical_bits);

}  // namespace mynah::kvm
