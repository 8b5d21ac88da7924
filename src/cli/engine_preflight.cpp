#include "cli/engine_preflight.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/cache_directory.h"

namespace mynah {
namespace {

EngineMeasures measured() {
    return measure_host_engines(cache_directory("engines").value_or(""));
}

void complain(const KvmVerdict& verdict, bool json) {
    if (json) {
        fmt::print("{}\n", verdict_json(verdict).dump());
        return;
    }
    fmt::print(stderr, "mynah run: --accel kvm: {}; {}{}\n", verdict.wrong, verdict.remedy,
               verdict.command.empty() ? "" : fmt::format(": {}", verdict.command));
}

// What only our own engines can do.
bool needs_own_engine(const MachineConfig& machine) {
    const TranslatorOptions& translator = machine.translator;
    return machine.instruction_limit || machine.code_cache || translator.lockstep ||
           translator.perf_map || translator.dump_code;
}

}  // namespace

const KvmVerdict* obstacle(const EngineMeasures& measures, bool slow) {
    const bool wanted = slow && measures.kvm.kind == KvmVerdict::Kind::kEmulated;
    return measures.kvm.usable() || wanted ? nullptr : &measures.kvm;
}

nlohmann::json verdict_json(const KvmVerdict& verdict) {
    return {{"engine", "kvm"},
            {"usable", verdict.usable()},
            {"kind", name_of(verdict.kind)},
            {"wrong", verdict.wrong},
            {"remedy", verdict.remedy},
            {"command", verdict.command}};
}

bool settle_engine(RunOptions& options) {
    using Accelerator = MachineConfig::Accelerator;
    MachineConfig& machine = options.machine;
    if (machine.accelerator == Accelerator::kKvm) {
        const EngineMeasures measures = measured();
        const KvmVerdict* const wrong = obstacle(measures, machine.slow_kvm);
        if (wrong != nullptr) complain(*wrong, options.json);
        return wrong == nullptr;
    }
    if (machine.accelerator != Accelerator::kAuto || needs_own_engine(machine)) return true;
    const EngineChoice choice = choose_accelerator(machine, measured());
    // Which one it is matters to a person; a program that wants to know asks.
    if (options.verbose || options.accelerator_given || isatty(STDERR_FILENO) != 0)
        fmt::print(stderr, "mynah: {}\n", choice.line);
    return true;
}

}  // namespace mynah
