#include "cpu/cpuid_models.h"

#include <algorithm>

#include "base/check.h"

namespace mynah {
namespace {

// What every model has: an x86-64 processor of the first level of the psABI, and what makes
// any guest quicker or steadier whatever the model's silicon had: known frequencies, a timer
// that needs no reprogramming, and the assurance that no side-channel mitigation is needed.
constexpr std::string_view kBaseline =
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
    "sse2 ss syscall nx lm hypervisor x2apic tsc-deadline arat invtsc tsc_adjust rdtscp "
    "md-clear spec-ctrl stibp ssbd arch-capabilities bhi-ctrl mcdt-no";

// Signatures are those of shipped parts [SDM 4 table 2-1], as guests choose quirks by them. Features
// are the silicon's, also those that nobody can have here, so that it can be said what is lacking.
constexpr CpuModel kModels[] = {
    {"max", 0x000806f8, "", "*"},
    {"host", 0x000806f8, "", "*"},
    {"x86-64-v1", 0x000006f2, "", kBaseline},
    {"qemu64", 0x000006f2, "x86-64-v1", "pni cx16"},
    {"x86-64-v2", 0x000106a5, "x86-64-v1", "pni ssse3 cx16 sse4.1 sse4.2 popcnt lahf-lm"},
    {"x86-64-v3", 0x000306c3, "x86-64-v2", "avx avx2 fma f16c bmi1 bmi2 abm movbe xsave xsaveopt"},
    {"x86-64-v4", 0x00050654, "x86-64-v3", "avx512f avx512bw avx512cd avx512dq avx512vl"},
    {"Nehalem", 0x000106a5, "x86-64-v2", ""},
    {"Westmere", 0x000206c1, "Nehalem", "aes pclmulqdq pcid pdpe1gb"},
    {"SandyBridge", 0x000206a7, "Westmere", "avx xsave xsaveopt"},
    {"IvyBridge", 0x000306a9, "SandyBridge", "f16c rdrand fsgsbase smep erms"},
    {"Haswell", 0x000306c3, "IvyBridge", "avx2 fma bmi1 bmi2 abm movbe invpcid hle rtm"},
    {"Broadwell", 0x000306d4, "Haswell", "rdseed adx smap 3dnowprefetch"},
    {"Skylake-Client", 0x000506e3, "Broadwell", "clflushopt xsavec xgetbv1 xsaves mpx"},
    {"Skylake-Server", 0x00050654, "Skylake-Client",
     "clwb pku avx512f avx512bw avx512cd avx512dq avx512vl"},
    {"Cascadelake-Server", 0x00050656, "Skylake-Server", "avx512-vnni"},
    {"Icelake-Server", 0x000606a6, "Cascadelake-Server",
     "sha-ni umip rdpid fsrm la57 gfni vaes vpclmulqdq avx512ifma avx512vbmi avx512-vbmi2 "
     "avx512-bitalg avx512-vpopcntdq",
     "hle rtm mpx"},
    {"SapphireRapids", 0x000806f8, "Icelake-Server",
     "serialize avx-vnni avx512-fp16 avx512-bf16 amx-tile amx-int8 amx-bf16 bus-lock-detect fzrm "
     "fsrs fsrc cldemote movdiri movdir64b waitpkg"},
};

bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const CpuModel> known_models() { return kModels; }

std::optional<CpuModel> find_model(std::string_view name) {
    std::string_view removed;
    const auto ends_with = [&name](std::string_view ending) {
        if (name.size() < ending.size() || !same_name(name.substr(name.size() - ending.size()), ending))
            return false;
        name.remove_suffix(ending.size());
        return true;
    };
    ends_with("-IBRS");  // every model has it
    if (ends_with("-noTSX")) removed = "hle rtm";
    const auto found = std::ranges::find_if(
        kModels, [name](const CpuModel& model) { return same_name(model.name, name); });
    if (found == std::end(kModels)) return std::nullopt;
    CpuModel model = *found;
    if (!removed.empty()) model.removed = removed;
    return model;
}

namespace {

template <typename Visit>
void for_each_named(std::string_view rest, const Visit& visit) {
    while (!rest.empty()) {
        const size_t blank = std::min(rest.find(' '), rest.size());
        const Feature* feature = find_feature(rest.substr(0, blank));
        CHECK(feature != nullptr);
        visit(*feature);
        rest.remove_prefix(std::min(blank + 1, rest.size()));
    }
}

}  // namespace

FeatureSet features_of(const CpuModel& model) {
    if (model.features == "*") return offerable_features();
    FeatureSet set{};
    if (!model.parent.empty()) set = features_of(*find_model(model.parent));
    for_each_named(model.features, [&set](const Feature& feature) { insert(set, feature); });
    for_each_named(model.removed, [&set](const Feature& feature) { remove(set, feature); });
    return set;
}

}  // namespace mynah
