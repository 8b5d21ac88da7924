#pragma once

#include <memory>
#include <vector>

#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/kvm/kvm_bells.h"
#include "engine/kvm/kvm_cpuid.h"
#include "engine/kvm/kvm_handle.h"
#include "engine/kvm/kvm_interrupts.h"
#include "engine/kvm/kvm_memory.h"
#include "engine/kvm/kvm_registers.h"

namespace mynah::kvm {

// A machine of KVM's: what its processors share.
class KvmMachine {
  public:
    static Result<std::unique_ptr<KvmMachine>> create(GuestMemory& memory,
                                                      const CpuidPolicy& cpuid,
                                                      const KvmOptions& options,
                                                      SystemCalls& calls);
    ~KvmMachine();

    const Handle& device() const { return device_; }
    const Handle& vm() const { return vm_; }
    GuestMemory& memory() { return memory_; }
    const CpuidPolicy& cpuid() const { return cpuid_; }
    size_t run_bytes() const { return run_bytes_; }  // of kvm_run
    bool has_smm() const { return has_smm_; }
    // What of KVM's paravirtual interface its guests can use, in bits of leaf 40000001h.
    uint32_t paravirt_features() const { return paravirt_features_; }
    // Of that, what a guest uses which finds it.
    bool has_paravirt(uint32_t feature) const {
        return presents_kvm(cpuid_) && (paravirt_features_ & feature) != 0;
    }

    // A processor as KVM made it, with what it shares with us; all are made with the machine, so
    // that what is lacking is said before anything runs.
    struct Seat {
        Handle vcpu;
        kvm_run* run = nullptr;
        Registers registers;  // of which only what CpuState does not have counts
    };
    Seat& seat(VcpuIndex index) { return seats_.at(index.value); }

    Bells& bells() { return *bells_; }
    // The kernel's local APICs; null: it has none here, and the machine's own count.
    Interrupts* interrupts() { return interrupts_ ? &*interrupts_ : nullptr; }
    std::map<std::string, uint64_t> uses() const;
    const std::vector<std::string>& lacking() const { return lacking_; }  // of the policy's features

    void harvest() EXCLUDES(mutex_);

    // After the map changed: one of the processors does it for all.
    Result<void> follow_memory() EXCLUDES(mutex_);

  private:
    KvmMachine(GuestMemory& memory, const CpuidPolicy& cpuid) : memory_(memory), cpuid_(cpuid) {}
    Result<void> check_extensions();
    Result<void> set_up(const KvmOptions& options);
    Result<void> filter_msrs();
    Result<void> add_seat(VcpuIndex index);

    GuestMemory& memory_;
    const CpuidPolicy& cpuid_;
    Handle device_, vm_;
    size_t run_bytes_ = 0;
    std::vector<std::string> lacking_;
    uint32_t paravirt_features_ = 0;
    bool has_smm_ = false;
    std::optional<Bells> bells_;
    std::optional<Interrupts> interrupts_;
    std::vector<Seat> seats_;
    Mutex mutex_;
    std::unique_ptr<MemorySlots> slots_ GUARDED_BY(mutex_);
};

}  // namespace mynah::kvm
