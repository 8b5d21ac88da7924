#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cli/run_options.h"
#include "machine/engine_report.h"

namespace mynah {

// Decides what the machine runs on. Where that was left to us, says on standard error what was
// chosen (to a person: a terminal, --verbose, or --accel auto in so many words). False: an engine
// was named that cannot be used here; what is wrong and what mends it has been said, on standard
// error, or with --json on standard output.
bool settle_engine(RunOptions& options);

// --accel kvm: what is wrong; nothing, if it can be used. Emulated KVM can, if `slow` is wanted.
const KvmVerdict* obstacle(const EngineMeasures& measures, bool slow);
nlohmann::json verdict_json(const KvmVerdict& verdict);

}  // namespace mynah
