// What a machine's processors run on, and how they move from one engine to another.

#include "machine/accelerator.h"
#include "machine/machine.h"

namespace mynah {

Result<std::unique_ptr<Engine>> Machine::make_engine(MachineConfig::Accelerator accelerator) {
    using Accelerator = MachineConfig::Accelerator;
    accelerator = what_auto_means(accelerator);
    if (accelerator == Accelerator::kInterpreter) return make_interpreter(*memory_, *cpuid_);
    if (accelerator == Accelerator::kKvm) {
        auto engine = make_kvm(*memory_, *cpuid_);
        if (!engine) return Error("--accel kvm: " + engine.error().message());
        return engine;
    }
    return make_translator(*memory_, *cpuid_, translator_options());
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
    std::map<std::string, uint64_t> uses = engine_->uses();
    if (uses.contains("ioeventfds")) uses["ioeventfds: rings"] = bells_.rings();
    return uses;
}

// All processors are parked. What belongs to the machine stays: their signals, local APICs, and what
// they wait for; of what an engine knows there is only what CpuState does not say already, and that is
// made anew.
Result<void> Machine::exchange_engine(MachineConfig::Accelerator accelerator) {
    accelerator = what_auto_means(accelerator);
    if (accelerator == accelerator_) return {};
    TRY(check_hypervisor(accelerator));
    constexpr auto kKvm = MachineConfig::Accelerator::kKvm;
    if (accelerator == kKvm || accelerator_ == kKvm)
        return Error("machines do not move to KVM or from it yet; expected jit or interpreter");
    auto engine = TRY(make_engine(accelerator));  // if it cannot be had, nothing has changed
    bells_.use(nullptr);
    for (auto& processor : processors_) processor->leave_engine();
    engine_ = std::move(engine);
    for (auto& processor : processors_) processor->enter_engine(*engine_);
    bells_.use(engine_.get());
    accelerator_ = accelerator;
    return {};
}

}  // namespace mynah
