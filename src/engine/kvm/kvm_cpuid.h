#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpu/cpuid_policy.h"
#include "engine/kvm/kvm_handle.h"

namespace mynah::kvm {

// What of KVM this machine uses.
struct PossibleParts {
    bool kernel_apics = false;
    bool tsc_offset = false;  // the guest's TSC is the host's and an offset, exactly
};
struct CpuidTaken {
    std::vector<std::string> lacking;  // features of the policy that this KVM does not support
    uint32_t paravirt = 0;             // what of leaf 40000001h guests of it can use
};

// Whether the guest finds KVM's paravirtual interface.
bool presents_kvm(const CpuidPolicy& policy);

// Tells KVM what CPUID answers on the processor with this APIC id: the policy's leaves, less what
// is not to be had. Error: KVM refuses them.
Result<CpuidTaken> set_cpuid(const Handle& device, const Handle& vcpu, const CpuidPolicy& policy,
                             uint32_t apic_id, const PossibleParts& parts);

}  // namespace mynah::kvm
