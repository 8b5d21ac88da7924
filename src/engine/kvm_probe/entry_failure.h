#pragma once

#include <cstdint>
#include <string>

namespace mynah {

// In plain words: why the processor refused to enter a guest (KVM_EXIT_FAIL_ENTRY), by the host's
// own reason [SDM 3C 27.8, 31.4; APM 2 15.5], and KVM's own failures (KVM_EXIT_INTERNAL_ERROR).
enum class EntryFailure : uint8_t { kVmxGuestState, kSvmInvalid, kOther };
EntryFailure entry_failure_kind(uint64_t reason);
std::string explain_entry_failure(uint64_t reason);
std::string explain_internal_error(uint32_t suberror);

}  // namespace mynah
