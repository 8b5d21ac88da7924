#pragma once

#include <string>
#include <vector>

#include "cpu/cpu_state.h"

namespace mynah::kvm {

// What a processor checks of a guest's state before it enters it, done again on ours after it
// refused: which field has which value, and what the manual says it must be. Neither VMX nor SVM
// tells that itself. Empty: the state passes, so what is wrong is a field that only the host's KVM
// knows. `physical_bits`: how wide the guest's physical addresses are.
//
// VMX [SDM 3C 26.3.1.1 to 26.3.1.5]. With an unrestricted guest some checks do not apply (paging and
// protection, RPLs, type 3 of CS); those are left out, since KVM emulates what a processor without
// it cannot enter. Also left out: what CpuState does not have (IA32_DEBUGCTL, SMBASE, pending debug
// exceptions, the VMCS link pointer).
std::vector<std::string> vmx_violations(const CpuState& state, unsigned physical_bits);

// SVM, the VMCB's consistency checks that are about the guest's state [APM2 15.5.1].
std::vector<std::string> svm_violations(const CpuState& state, unsigned physical_bits);

}  // namespace mynah::kvm
