// What a machine's processors run on, and how they move from one engine to another.

#include <fmt/ranges.h>

#include "machine/accelerator.h"
#include "machine/machine.h"

namespace mynah {

Result<std::unique_ptr<Engine>> Machine::make_engine(MachineConfig::Accelerator accelerator) {
    using Accelerator = MachineConfig::Accelerator;
    accelerator = what_auto_means(accelerator);
    if (accelerator == Accelerator::kInterpreter) return make_interpreter(*memory_, *cpuid_);
    if (accelerator == Accelerator::kKvm) {
        auto engine = make_kvm(*memory_, *cpuid_, {.kernel_apics = !config_.kvm_without_apics});
        if (!engine) return Error("--accel kvm: " + engine.error().message());
        return engine;
    }
    return make_translator(*memory_, *cpuid_, translator_options());
}

// What the engine's processors lack no processor of this machine has, on whatever engine it goes on.
Result<void> Machine::build_engine(uint64_t tsc_hz) {
    engine_ = TRY(make_engine(accelerator_));
    limit_hypervisor();
    const std::vector<std::string> missing = engine_->missing_features();
    if (missing.empty()) return {};
    // What was asked for by name must be there; who takes what can be had misses nothing.
    for (const std::string& name : missing) {
        if (contains(cpuid_->choice().demanded, name)) {
            return Error(fmt::format(
                "--cpu: feature '{}' cannot be had: this host's KVM does not offer it", name));
        }
    }
    if (cpuid_->choice().by_name) kvm_lacks_ = fmt::format("{}", fmt::join(missing, ", "));
    const std::string model = fmt::format("{},-{}", config_.cpu, fmt::join(missing, ",-"));
    engine_.reset();  // it knows the policy
    cpuid_ = TRY(CpuidPolicy::create(model, config_.topology, tsc_hz));
    limit_physical_bits();
    if (kvm_) kvm_->announce(*cpuid_);
    engine_ = TRY(make_engine(accelerator_));
    return {};
}

TranslatorOptions Machine::translator_options() const {
    TranslatorOptions options = config_.translator;
    options.code_cache = config_.code_cache.value_or(is_pc() ? kLargeCodeCache : kSmallCodeCache);
    return options;
}

Result<void> Machine::switch_engine(MachineConfig::Accelerator accelerator) {
    return paused_work_.run([this, accelerator] { return exchange_engine(accelerator); },
                            [this] { control_.request_pause(); });
}

std::map<std::string, uint64_t> Machine::engine_uses() const {
    MutexLock lock(engine_mutex_);
    std::map<std::string, uint64_t> uses = engine_->uses();
    if (uses.contains("ioeventfds")) uses["ioeventfds: rings"] = bells_.rings();
    return uses;
}

// All processors are parked. What belongs to the machine stays: their signals, local APICs, and what
// they wait for; of what an engine knows there is only what CpuState does not say already, and that is
// made anew. Local APICs that an engine has inside come back when the processors leave it; what is
// sent to them meanwhile waits.
Result<void> Machine::exchange_engine(MachineConfig::Accelerator accelerator) {
    accelerator = what_auto_means(accelerator);
    if (accelerator == accelerator_) return {};
    auto engine = TRY(make_engine(accelerator));  // if it cannot be had, nothing has changed
    TRY(check_move(accelerator, *engine));
    TRY(check_hypervisor(*engine));
    bells_.use(nullptr);
    apic_bus_.hold();
    for (auto& processor : processors_) processor->leave_engine();
    {
        MutexLock lock(engine_mutex_);
        engine_->harvest();
        engine_ = std::move(engine);
    }
    for (auto& processor : processors_) processor->enter_engine(*engine_);
    apic_bus_.use(engine_->apics());
    bells_.use(engine_.get());
    accelerator_ = accelerator;
    return {};
}

std::string Machine::cpu_report() const {
    std::string lacks = who_lacks(cpuid_->choice().lacking);
    if (!kvm_lacks_.empty()) {
        lacks += fmt::format("{}{} (this host's KVM does not offer them)", lacks.empty() ? "" : "; ",
                             kvm_lacks_);
    }
    std::string report;
    if (!lacks.empty()) report += fmt::format("mynah: --cpu {}: without {}\n", config_.cpu, lacks);
    if (!hypervisor_lacks_.empty()) {
        report += fmt::format(
            "mynah: --hypervisor kvm: without {} (this host's KVM does not offer "
            "them to this guest)\n",
            hypervisor_lacks_);
    }
    return report;
}

// What the guest has found at its start is there on the other engine, too.
Result<void> Machine::check_move(MachineConfig::Accelerator accelerator, const Engine& engine) const {
    if (manages_ && !engine.has_management_mode()) {
        return Error("the machine uses system management mode, which this host's KVM does not "
                     "have; expected jit or interpreter");
    }
    if (accelerator != MachineConfig::Accelerator::kKvm) return {};
    if (config_.instruction_limit)
        return Error("--instruction-limit: KVM does not count instructions; expected jit or "
                     "interpreter");
    const std::vector<std::string> missing = engine.missing_features();
    if (missing.empty()) return {};
    return Error(fmt::format("the guest's processors have {}, which this host's KVM does not offer; "
                             "expected jit or interpreter, or a machine started with --cpu ...,-{}",
                             fmt::join(missing, ", "), fmt::join(missing, ",-")));
}

}  // namespace mynah
