// What KVM says when it cannot go on.

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "engine/kvm/kvm_vcpu.h"
#include "engine/kvm_probe/entry_failure.h"

namespace mynah::kvm {

std::string describe_failure(const kvm_run& run) {
    if (run.exit_reason == KVM_EXIT_FAIL_ENTRY)
        return explain_entry_failure(run.fail_entry.hardware_entry_failure_reason);
    std::string text = explain_internal_error(run.internal.suberror);
    const uint32_t count = std::min<uint32_t>(run.internal.ndata, std::size(run.internal.data));
    for (uint32_t i = 0; i < count; ++i) text += fmt::format(" {:#x}", run.internal.data[i]);
    return text;
}

}  // namespace mynah::kvm
