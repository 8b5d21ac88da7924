#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "cpu/address.h"
#include "memory/dma_view.h"
#include "paravirt/kvm/kvm_host.h"

namespace mynah {

// Steal time of one processor [msr.rst MSR_KVM_STEAL_TIME]: how long its thread was ready and
// the host ran something else, whether it runs now, and the request to flush its TLB by which
// others spare themselves waking it [cpuid.rst KVM_FEATURE_PV_TLB_FLUSH]. Own thread only,
// unless it is parked.
class PvStealTime {
  public:
    PvStealTime(DmaView memory, KvmHost& host, VcpuIndex vcpu)
        : memory_(memory), host_(host), vcpu_(vcpu) {}

    // Tells it there from now on; nothing: nowhere. What was there stays and is added to.
    void place(std::optional<GuestPhys> where);
    // From here on a kernel tells it, which begins with adding all that it ever took from the
    // thread; and that is over. The processor is parked.
    void lend();
    void take_back(std::optional<GuestPhys> where);
    // The processor is about to run guest code, it does not any more.
    void enter();
    void leave();
    // While it runs, often: tells what was stolen, if it is a while since it last did.
    void refresh();

  private:
    void account();
    void add(uint64_t more);  // modulo 2^64

    const DmaView memory_;
    KvmHost& host_;
    const VcpuIndex vcpu_;
    std::optional<GuestPhys> where_;
    bool running_ = false;
    uint64_t delay_seen_ = 0;    // of the thread, in ns
    uint64_t accounted_at_ = 0;  // ns of the machine's clock
};

}  // namespace mynah
