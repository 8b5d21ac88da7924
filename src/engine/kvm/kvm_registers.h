#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cpu/cpu_state.h"
#include "engine/kvm/kvm_handle.h"
#include "engine/kvm/kvm_requests.h"
#include "memory/guest_memory.h"

namespace mynah::kvm {

// Everything that KVM keeps of a processor, as its requests have it [api.rst].
struct Registers {
    kvm_regs general{};
    kvm_sregs special{};
    alignas(64) std::array<std::byte, kXsaveBytes> extended{};  // kvm_xsave: an XSAVE area
    kvm_xcrs control{};
    kvm_debugregs debug{};
    kvm_vcpu_events events{};
    // With a local APIC of the kernel's: whether the processor runs, halts, or waits for a start.
    kvm_mp_state activity{};
    bool has_activity = false;
};

// From the processor to `state`, and back. What CpuState does not have (events that are being
// delivered) stays in `registers` in between. Error: which request failed.
Result<void> pull(const Handle& vcpu, const GuestMemory& memory, Registers& registers,
                  CpuState& state);
Result<void> push(const Handle& vcpu, Registers& registers, const CpuState& state);

// One model-specific register. False: this processor does not have it, or refuses the value.
bool get_msr(const Handle& vcpu, uint32_t index, uint64_t& value);
bool set_msr(const Handle& vcpu, uint32_t index, uint64_t value);

// --- parts, for tests ---
void to_kvm(const CpuState& state, Registers& registers);
void from_kvm(const Registers& registers, CpuState& state);

}  // namespace mynah::kvm
