#include "machine/engine_report.h"

#include "host/system_calls.h"

namespace mynah {

EngineMeasures measure_host_engines(const std::string& cache_folder) {
    return measure_engines(host_system_calls(), HostFiles(), cache_folder);
}

EngineChoice choose_accelerator(MachineConfig& config, const EngineMeasures& measures) {
    using Accelerator = MachineConfig::Accelerator;
    const EngineChoice choice = choose_engine(measures);
    switch (choice.engine) {
        case EngineKind::kKvm:
            config.accelerator = Accelerator::kKvm;
            break;
        case EngineKind::kTranslator:
            config.accelerator = Accelerator::kTranslator;
            break;
        case EngineKind::kInterpreter:
            config.accelerator = Accelerator::kInterpreter;
            break;
    }
    return choice;
}

}  // namespace mynah
