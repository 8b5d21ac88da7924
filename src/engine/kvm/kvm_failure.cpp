// What KVM says when it cannot go on.

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "engine/kvm/kvm_vcpu.h"

namespace mynah::kvm {
namespace {

struct Named {
    uint64_t number;
    const char* text;
};

// VM-instruction errors and exit reasons with bit 31 set [SDM 3C 30.4, 26.8].
constexpr Named kEntryReasons[] = {
    {33, "invalid guest state: a check of the guest's registers failed"},
    {34, "a model-specific register could not be loaded"},
    {41, "machine check during the entry"},
    {7, "VM entry with invalid control fields"},
    {8, "VM entry with invalid host state"},
};
constexpr Named kInternal[] = {
    {1, "an instruction could not be emulated"},
    {2, "an event was to be delivered while another one was"},
    {3, "an exit came while an event was being delivered"},
    {4, "an exit for a reason that this kernel does not know"},
};

template <size_t kCount>
const char* text_of(const Named (&table)[kCount], uint64_t number) {
    for (const Named& each : table) {
        if (each.number == number) return each.text;
    }
    return "for a reason without a name";
}

}  // namespace

std::string describe_failure(const kvm_run& run) {
    if (run.exit_reason == KVM_EXIT_FAIL_ENTRY) {
        constexpr uint64_t kFailed = uint64_t{1} << 31, kSvmInvalid = ~uint64_t{0};
        const uint64_t reason = run.fail_entry.hardware_entry_failure_reason;
        if (reason == kSvmInvalid || reason == 0xffffffff) {
            return "VM entry failed (VMRUN): the control block has an invalid value "
                   "(VMEXIT_INVALID)";
        }
        return fmt::format("VM entry failed: {} (hardware reason {:#x})",
                           text_of(kEntryReasons, reason & ~kFailed), reason);
    }
    std::string text = fmt::format("KVM internal error {}: {}", run.internal.suberror,
                                   text_of(kInternal, run.internal.suberror));
    const uint32_t count = std::min<uint32_t>(run.internal.ndata, std::size(run.internal.data));
    for (uint32_t i = 0; i < count; ++i) text += fmt::format(" {:#x}", run.internal.data[i]);
    return text;
}

}  // namespace mynah::kvm
