#pragma once

#include <string>

#include "engine/kvm_probe/engine_choice.h"
#include "machine/machine_config.h"

namespace mynah {

// What this program can run guests on here: asked of the host and measured, see engine_choice.h.
// cache_folder: empty for none.
EngineMeasures measure_host_engines(const std::string& cache_folder);

// The machine's engine where it was left to us; `line` says what was chosen and why.
EngineChoice choose_accelerator(MachineConfig& config, const EngineMeasures& measures);

}  // namespace mynah
