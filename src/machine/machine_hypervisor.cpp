// Which hypervisor's interfaces a machine's guest finds.

#include "machine/machine.h"

namespace mynah {

// On the host's KVM the interface would be that of the host's kernel, which is not handed on.
Result<void> Machine::check_hypervisor(MachineConfig::Accelerator accelerator) const {
    if (config_.hypervisor == MachineConfig::Hypervisor::kNone) return {};
    if (accelerator == MachineConfig::Accelerator::kKvm)
        return Error("--hypervisor kvm: not with --accel kvm; expected --accel jit or interpreter");
    if (!cpuid_->has("hypervisor"))
        return Error(
            "--hypervisor kvm: --cpu takes the feature hypervisor away; expected a CPU "
            "that has it");
    return {};
}

void Machine::build_hypervisor(uint64_t tsc_hz) {
    if (config_.hypervisor == MachineConfig::Hypervisor::kNone) return;
    const uint32_t vcpus = config_.topology.vcpus();
    kvm_host_ = std::make_unique<KvmGuestHost>(clock_, apic_bus_, processors_, vcpus);
    kvm_ = std::make_unique<ParavirtKvm>(*memory_, *kvm_host_, tsc_hz, vcpus);
    kvm_->announce(*cpuid_);
}

}  // namespace mynah
