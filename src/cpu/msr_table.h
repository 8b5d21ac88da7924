#pragma once

#include <cstdint>
#include <optional>

#include "cpu/cpu_ports.h"
#include "cpu/cpu_state.h"
#include "cpu/cpuid_policy.h"

namespace mynah {

// What RDMSR and WRMSR work on: one processor, outside its engine. tsc: the guest's time stamp now.
struct MsrContext {
    CpuState& state;
    const CpuidPolicy& policy;
    CpuPorts& ports;
    uint64_t tsc;
};

// Model-specific registers [SDM 4], by a table in msr_table.cpp. Those of the local APIC are asked
// of the ports. Privilege is the caller's business.

// Nothing: #GP.
std::optional<uint64_t> read_msr(const MsrContext& context, uint32_t index);

// False: #GP, nothing changed. A write of IA32_EFER may change what translations allow.
bool write_msr(const MsrContext& context, uint32_t index, uint64_t value);

}  // namespace mynah
