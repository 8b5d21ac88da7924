#include "machine/placement.h"

#include <fmt/core.h>

#include "host/cpu_affinity.h"
#include "machine/machine.h"

namespace mynah {

Result<void> check_placement(const MachineConfig& config) {
    if (config.memory_backing.huge_page != 0 && config.devices.pluggable_memory) {
        return Error("--memory hugepages=: memory of virtio-mem is given back in pieces smaller than "
                     "huge pages; expected only one of the two");
    }
    if (config.pin.empty()) return {};
    const uint32_t vcpus = config.topology.vcpus();
    if (config.pin.size() != 1 && config.pin.size() != vcpus) {
        return Error(fmt::format("--vcpus pin=: {} lists of host processors for {} vCPUs; expected "
                                 "one for all, or one for each",
                                 config.pin.size(), vcpus));
    }
    const HostCpus allowed = TRY(allowed_host_cpus());
    for (const HostCpus& cpus : config.pin) {
        if (const auto usable = check_host_cpus(cpus, allowed, host_cpu_count()); !usable)
            return Error(fmt::format("--vcpus pin=: {}", usable.error().message()));
    }
    return {};
}

Result<void> Machine::pin_processors() {
    if (config_.pin.empty()) return {};
    for (size_t i = 0; i < processors_.size(); ++i) {
        const HostCpus& cpus = config_.pin[config_.pin.size() == 1 ? 0 : i];
        if (const auto pinned = processors_[i]->thread().pin(cpus); !pinned) {
            stop(StopReason::kHostError);
            paused_work_.close();
            return Error(fmt::format("--vcpus pin=: vCPU {}: {}", i, pinned.error().message()));
        }
    }
    return {};
}

}  // namespace mynah
