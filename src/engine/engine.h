#pragma once

#include <memory>

#include "cpu/cpu_ports.h"
#include "cpu/cpuid_policy.h"
#include "cpu/vcpu.h"
#include "memory/guest_memory.h"

namespace mynah {

// A way to run processors, for one machine. Outlives its vCPUs.
class Engine {
 public:
    virtual ~Engine() = default;
    // Made in reset state. Ports must outlive the vCPU. Vcpu::run may then be called from a
    // thread of its own, one per vCPU.
    virtual std::unique_ptr<Vcpu> create_vcpu(CpuPorts& ports, VcpuIndex index) = 0;
};

// The reference engine. Memory and policy must outlive it.
Result<std::unique_ptr<Engine>> make_interpreter(GuestMemory& memory, const CpuidPolicy& cpuid);

}  // namespace mynah
