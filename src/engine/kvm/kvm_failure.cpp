// What KVM says when it cannot go on.

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <span>
#include <string>

#include "engine/kvm/entry_checks.h"
#include "engine/kvm/kvm_vcpu.h"
#include "engine/kvm_probe/entry_failure.h"
#include "isa/instruction.h"

namespace mynah::kvm {
namespace {

// linux/kvm.h of 2021 has the fields inside of a nameless union; older ones have none.
struct EmulationFailure {
    uint32_t suberror, ndata;
    uint64_t flags;
    uint8_t size;
    std::array<std::byte, 15> bytes;
};
constexpr uint64_t kHasBytes = 1;

std::string instruction_of(const kvm_run& run, const CpuState& state) {
    EmulationFailure failure;
    static_assert(sizeof failure <= sizeof run.internal);
    std::memcpy(&failure, &run.internal, sizeof failure);
    // The flags are a word of `ndata`, the bytes two more.
    if (failure.ndata < 3 || (failure.flags & kHasBytes) == 0) return "";
    const auto bytes =
        std::span(failure.bytes).first(std::min<size_t>(failure.size, failure.bytes.size()));
    std::string text = ", its bytes";
    for (const std::byte byte : bytes) text += fmt::format(" {:02x}", static_cast<unsigned>(byte));
    const CodeSize size = state.code64()             ? CodeSize::k64
                          : state.cs().default_big() ? CodeSize::k32
                                                     : CodeSize::k16;
    Instruction instruction;
    if (decode(bytes, size, instruction) == DecodeStatus::kOk)
        text += fmt::format(" ({})", disassemble(instruction, state.rip));
    return text;
}

std::string describe_internal(const kvm_run& run, const CpuState& state) {
    std::string text = explain_internal_error(run.internal.suberror);
    std::string bytes;
    if (run.internal.suberror == KVM_INTERNAL_ERROR_EMULATION) bytes = instruction_of(run, state);
    if (!bytes.empty()) return text + fmt::format(" at rip {:#x}", state.rip) + bytes;
    const uint32_t count = std::min<uint32_t>(run.internal.ndata, std::size(run.internal.data));
    for (uint32_t i = 0; i < count; ++i) text += fmt::format(" {:#x}", run.internal.data[i]);
    return text;
}

}  // namespace

std::vector<std::string> describe_failure(const kvm_run& run, const CpuState& state,
                                          unsigned physical_bits) {
    if (run.exit_reason != KVM_EXIT_FAIL_ENTRY) return {describe_internal(run, state)};
    const uint64_t reason = run.fail_entry.hardware_entry_failure_reason;
    std::vector<std::string> lines{explain_entry_failure(reason)};
    const EntryFailure kind = entry_failure_kind(reason);
    if (kind == EntryFailure::kOther) return lines;
    const auto violations = kind == EntryFailure::kVmxGuestState
                                ? vmx_violations(state, physical_bits)
                                : svm_violations(state, physical_bits);
    for (const std::string& each : violations) lines.push_back("failed check: " + each);
    if (violations.empty())
        lines.emplace_back("failed check: none that can be made from here: the processor's state is "
                           "as the manual wants it");
    return lines;
}

}  // namespace mynah::kvm
