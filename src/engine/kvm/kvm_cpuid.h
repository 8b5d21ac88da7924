#pragma once

#include <cstdint>

#include <string>
#include <vector>

#include "cpu/cpuid_policy.h"
#include "engine/kvm/kvm_handle.h"

namespace mynah::kvm {

// Tells KVM what CPUID answers on the processor with this APIC id: the policy's leaves, less the
// features that this KVM does not support. Error: KVM refuses them.
Result<std::vector<std::string>> set_cpuid(const Handle& device, const Handle& vcpu, const CpuidPolicy& policy,
                       uint32_t apic_id);

}  // namespace mynah::kvm
