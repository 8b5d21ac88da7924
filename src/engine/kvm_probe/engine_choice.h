#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/kvm_probe/kvm_preflight.h"

namespace mynah {

// What is known of the engines on this host.
struct EngineMeasures {
    KvmVerdict kvm;                            // kEmulated: it is usable and slow
    std::optional<double> kvm_speed;           // instructions a second of a guest's kernel
    std::optional<double> translator_speed;    // nothing: the host's processor cannot run it
    bool from_cache = false;                   // measured earlier in this boot of the host
    std::string measuring_failed;              // why there is no speed of a KVM that is there
};

// Asks and measures, within 20 ms. cache_folder: where the speeds are kept until the host boots
// again; empty: nowhere. What may change sooner (rights, the module) is asked every time.
EngineMeasures measure_engines(SystemCalls& calls, const HostFiles& files,
                               const std::string& cache_folder);

enum class EngineKind { kKvm, kTranslator, kInterpreter };
struct EngineChoice {
    EngineKind engine = EngineKind::kInterpreter;
    std::string line;  // what was chosen, what was measured, how to have another
};
EngineChoice choose_engine(const EngineMeasures& measures);

// KVM that is slower than this share of the translator is emulated: hardware runs the loop at the
// processor's own speed, an emulator three orders of magnitude below.
inline constexpr double kLeastShare = 0.25;

}  // namespace mynah
