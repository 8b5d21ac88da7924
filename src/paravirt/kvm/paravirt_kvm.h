#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpu/address.h"
#include "cpu/cpu_state.h"
#include "cpu/cpuid_policy.h"
#include "cpu/paravirt_msrs.h"
#include "memory/guest_memory.h"
#include "paravirt/kvm/kvm_host.h"
#include "paravirt/kvm/pv_clock.h"
#include "paravirt/kvm/pv_eoi.h"
#include "paravirt/kvm/pv_steal_time.h"

namespace mynah {

// KVM's paravirtual interface as one processor sees it: its MSRs and its hypercalls. Made by
// ParavirtKvm. Own thread only, unless it is parked.
class ParavirtKvmVcpu {
  public:
    // Clock and features are those of the machine, which outlives it.
    ParavirtKvmVcpu(VcpuIndex index, DmaView memory, KvmHost& host, PvClock& clock,
                    const uint32_t& features);

    static bool owns_msr(uint32_t index);
    // Nothing / false: #GP. What APICs know of PV EOI must be settled before a write.
    std::optional<uint64_t> read_msr(uint32_t index) const;
    bool write_msr(uint32_t index, uint64_t value);

    void tsc_moved(uint64_t tsc_offset) { clock_.tsc_moved(index_, tsc_offset); }

    // VMCALL or VMMCALL: does what the registers say and puts the answer into RAX.
    void hypercall(CpuState& state);

    // An engine goes on with steal time and PV EOI, from what the guest wrote so far; and that is
    // over. The processor is parked.
    ParavirtMsrs lend();
    void take_back(const ParavirtMsrs& written);

    // Before it runs guest code, after it did.
    void enter() { steal_time_.enter(); }
    void leave() { steal_time_.leave(); }
    // An interrupt comes: a good moment to tell what takes time.
    void refresh() { steal_time_.refresh(); }
    // INIT, and a part of every reset: nothing is told or offered any more.
    void init();

    SilentEoi& silent_eoi() { return eoi_; }
    uint64_t silent_ends() const { return eoi_.ended(); }
    uint64_t hypercalls() const { return hypercalls_; }

  private:
    bool offers(uint32_t features) const { return (features_ & features) != 0; }
    bool write_system_time(uint64_t value);
    bool write_steal_time(uint64_t value);
    bool write_eoi(uint64_t value);

    // pv_hypercalls.cpp
    struct Call {
        uint64_t number;
        uint64_t arguments[4];
        bool long_mode;
    };
    int64_t answer(const Call& call);
    int64_t send_ipi(const Call& call);
    int64_t kick(uint64_t apic_id);
    int64_t pair_clocks(uint64_t where, uint64_t kind);

    const VcpuIndex index_;
    const DmaView memory_;
    KvmHost& host_;
    PvClock& clock_;
    const uint32_t& features_;
    PvStealTime steal_time_;
    PvEoi eoi_;
    uint64_t hypercalls_ = 0;
    // As the guest wrote them.
    uint64_t system_time_msr_ = 0, steal_time_msr_ = 0, eoi_msr_ = 0;
};

// KVM's paravirtual interface of one machine [cpuid.rst], [msr.rst], [hypercalls.rst], for
// processors that do not run on KVM; of those that do the clock, so that it goes on through moves
// and pauses. Modelled: clock, steal time with requests to flush TLBs, PV EOI, kicks, IPIs,
// yielding, pairing of clocks. Left out, and not announced: asynchronous page faults, control of
// host polling and migration, hints.
class ParavirtKvm {
  public:
    ParavirtKvm(GuestMemory& memory, KvmHost& host, uint64_t tsc_hz, uint32_t vcpus);

    const ParavirtKvmVcpu& vcpu(VcpuIndex index) const { return *vcpus_[index.value]; }
    ParavirtKvmVcpu& vcpu(VcpuIndex index) { return *vcpus_[index.value]; }
    PvClock& clock() { return clock_; }

    // What leaf 40000001h announces.
    uint32_t features() const { return features_; }
    // No more than these; before anybody asks.
    void limit(uint32_t features) { features_ &= features; }
    void announce(CpuidPolicy& policy) const;
    // Of these features, as QEMU's --cpu calls them.
    static std::vector<std::string> names(uint32_t features);

    // Power-up and reset; no processor runs, their TSCs begin with this offset.
    void reset(uint64_t tsc_offset);

  private:
    static uint32_t offered(KvmHost& host);

    uint32_t features_;
    PvClock clock_;
    std::vector<std::unique_ptr<ParavirtKvmVcpu>> vcpus_;
};

}  // namespace mynah
