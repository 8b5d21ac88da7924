// Which hypervisor's interfaces a machine's guest finds.

#include <fmt/ranges.h>

#include "machine/machine.h"

namespace mynah {

Result<void> Machine::build_hypervisor(uint64_t tsc_hz) {
    if (config_.hypervisor == MachineConfig::Hypervisor::kNone) return {};
    if (!cpuid_->has("hypervisor"))
        return Error(
            "--hypervisor kvm: --cpu takes the feature hypervisor away; expected a CPU "
            "that has it");
    const uint32_t vcpus = config_.topology.vcpus();
    kvm_host_ = std::make_unique<KvmGuestHost>(clock_, apic_bus_, processors_, vcpus);
    kvm_ = std::make_unique<ParavirtKvm>(*memory_, *kvm_host_, tsc_hz, vcpus);
    kvm_->announce(*cpuid_);
    return {};
}

// What the engine that the machine begins on cannot give is not announced, wherever it goes.
void Machine::limit_hypervisor() {
    if (!kvm_) return;
    const uint32_t possible = engine_->paravirt_features();
    hypervisor_lacks_ =
        fmt::format("{}", fmt::join(ParavirtKvm::names(kvm_->features() & ~possible), ", "));
    kvm_->limit(possible);
    kvm_->announce(*cpuid_);
}

Result<void> Machine::check_hypervisor(const Engine& engine) const {
    const uint32_t missing = kvm_ ? kvm_->features() & ~engine.paravirt_features() : 0;
    if (missing == 0) return {};
    return Error(
        fmt::format("--hypervisor kvm: the guest was promised {}, which this host's KVM does "
                    "not offer to it; expected jit or interpreter",
                    fmt::join(ParavirtKvm::names(missing), ", ")));
}

}  // namespace mynah
