#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "cpu/cpuid_features.h"

namespace mynah {

// A named processor: identification and features.
struct CpuModel {
    std::string_view name;
    uint32_t signature;         // leaf 1 EAX
    std::string_view parent;    // model whose features it has too; empty: none
    std::string_view features;  // separated by blanks; "*": all that can be offered
    // Later steppings of it, as other monitors name them: -noTSX.
    std::string_view removed = {};
};

std::span<const CpuModel> known_models();
// Nothing if unknown; case does not matter. The endings -noTSX and -IBRS are understood.
std::optional<CpuModel> find_model(std::string_view name);

// The model's features with its parents', before the host has its say.
FeatureSet features_of(const CpuModel& model);

}  // namespace mynah
