#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cpu/cpuid_models.h"

namespace mynah {

// What a guest's processor is to be.
struct CpuChoice {
    std::string brand;  // as the guest is told
    uint32_t signature = 0;
    FeatureSet features{};
    // What the model's silicon has, nobody took away by name, and cannot be had here.
    FeatureSet lacking{};
    // What must not be missing: asked for by +, or with enforce all of the model.
    FeatureSet demanded{};
    bool by_name = false;  // a certain model's, not whatever can be had
};

// Of the value of --cpu: MODEL[,+feature][,-feature][,feature=on|off][,check][,enforce]. A model is a
// wish: what cannot be had of it is left out, unless enforce is given. What is asked for by + is a
// demand. Error: unknown model or feature (with the nearest known name), or what cannot be had.
Result<CpuChoice> choose_cpu(std::string_view text);

// Features by name, and who is in the way: "avx512f, pku (the engine does not implement them)".
std::string who_lacks(const FeatureSet& lacking);

}  // namespace mynah
