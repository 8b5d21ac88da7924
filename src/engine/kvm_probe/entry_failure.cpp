#include "engine/kvm_probe/entry_failure.h"

#include <fmt/core.h>
#include <linux/kvm.h>

namespace mynah {

namespace {

// VMX: bit 31 and the basic exit reason, or the number of a VM-instruction error.
constexpr uint64_t kGuestState = 0x80000021, kMsrLoad = 0x80000022, kMachineCheck = 0x80000029;
constexpr uint64_t kControls = 7, kHostState = 8, kSvmInvalid = ~uint64_t{0};

}  // namespace

EntryFailure entry_failure_kind(uint64_t reason) {
    // Some kernels have the exit reason in 32 bits: VMEXIT_INVALID is -1 there as well.
    if (reason == kSvmInvalid || reason == 0xffffffff) return EntryFailure::kSvmInvalid;
    return reason == kGuestState ? EntryFailure::kVmxGuestState : EntryFailure::kOther;
}

std::string explain_entry_failure(uint64_t reason) {
    const char* meaning = "the manuals have no such reason";
    if (reason == kGuestState) meaning = "a check of the guest's state in the VMCS failed";
    if (reason == kMsrLoad) meaning = "an MSR of the guest could not be loaded";
    if (reason == kMachineCheck) meaning = "a machine check during the entry";
    if (reason == kControls) meaning = "a control field of the VMCS is invalid";
    if (reason == kHostState) meaning = "a host-state field of the VMCS is invalid";
    if (entry_failure_kind(reason) == EntryFailure::kSvmInvalid)
        meaning = "the VMCB is not consistent (VMEXIT_INVALID)";
    return fmt::format("the processor refused to enter the guest, reason {:#x}: {}", reason,
                       meaning);
}

std::string explain_internal_error(uint32_t suberror) {
    const char* meaning = "unknown";
    if (suberror == KVM_INTERNAL_ERROR_EMULATION)
        meaning = "KVM cannot emulate the guest's instruction";
    if (suberror == KVM_INTERNAL_ERROR_SIMUL_EX) meaning = "an exception while delivering another";
    if (suberror == KVM_INTERNAL_ERROR_DELIVERY_EV)
        meaning = "an exit in the middle of delivering an event";
    if (suberror == KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON)
        meaning = "an exit that KVM does not know";
    return fmt::format("internal error {} of KVM: {}", suberror, meaning);
}

}  // namespace mynah
