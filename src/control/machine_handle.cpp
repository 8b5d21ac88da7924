#include "control/machine_handle.h"

#include "machine/accelerator.h"

namespace mynah {
namespace {

Error no_balloon() {
    return Error("No balloon device has been activated: expected a machine with --memballoon");
}

}  // namespace

std::string MachineHandle::engine() { return std::string(name_of(machine_.engine())); }

std::map<std::string, uint64_t> MachineHandle::engine_uses() { return machine_.engine_uses(); }

Result<void> MachineHandle::set_engine(const std::string& name) {
    const auto accelerator = accelerator_named(name);
    if (!accelerator)
        return Error("engine '" + name + "': expected jit, interpreter, kvm or auto");
    return machine_.switch_engine(*accelerator);
}

Result<void> MachineHandle::set_balloon(uint64_t bytes) {
    if (!machine_.has_balloon()) return no_balloon();
    if (bytes == 0) return Error("Parameter 'value' expects a size above 0");
    machine_.set_balloon(bytes);
    return {};
}

Result<uint64_t> MachineHandle::balloon_actual() {
    if (!machine_.has_balloon()) return no_balloon();
    return machine_.balloon_actual();
}

Result<std::map<std::string, uint64_t>> MachineHandle::balloon_statistics() {
    if (!machine_.has_balloon()) return no_balloon();
    return machine_.balloon_statistics();
}

Result<void> MachineHandle::ask_for_free_pages() {
    if (!machine_.has_balloon()) return no_balloon();
    machine_.ask_for_free_pages();
    return {};
}

std::vector<ControlledMachine::ProcessorPlace> MachineHandle::processor_places() {
    std::vector<ProcessorPlace> places;
    for (const auto& each : machine_.processor_places())
        places.push_back({each.rip, each.rflags, each.looks, each.halted});
    return places;
}

std::optional<ControlledMachine::PluggableMemory> MachineHandle::pluggable_memory() {
    const auto memory = machine_.pluggable_memory();
    if (!memory) return std::nullopt;
    return PluggableMemory{memory->id,    memory->address,   memory->size,
                           memory->block, memory->requested, memory->plugged};
}

}  // namespace mynah
