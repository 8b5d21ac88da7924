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

// Signatures are those of shipped parts [SDM 4 table 2-1], as guests choose quirks by them.
constexpr CpuModel kModels[] = {
    {"max", 0x000806f8, "", "*"},
    {"host", 0x000806f8, "", "*"},
    {"x86-64-v1", 0x000006f2, "", kBaseline},
    {"qemu64", 0x000006f2, "x86-64-v1", "pni cx16"},
    {"x86-64-v2", 0x000106a5, "x86-64-v1", "pni ssse3 cx16 sse4.1 sse4.2 popcnt lahf-lm"},
    {"x86-64-v3", 0x000306c3, "x86-64-v2", "avx avx2 fma f16c bmi1 bmi2 abm movbe xsave xsaveopt"},
    {"Nehalem", 0x000106a5, "x86-64-v2", ""},
    {"Westmere", 0x000206c1, "Nehalem", "aes pclmulqdq pcid pdpe1gb"},
    {"SandyBridge", 0x000206a7, "Westmere", "avx xsave xsaveopt"},
    {"IvyBridge", 0x000306a9, "SandyBridge", "f16c rdrand fsgsbase smep erms"},
    {"Haswell", 0x000306c3, "IvyBridge", "avx2 fma bmi1 bmi2 abm movbe invpcid"},
    {"Broadwell", 0x000306d4, "Haswell", "rdseed adx smap 3dnowprefetch"},
    {"Skylake-Client", 0x000506e3, "Broadwell", "clflushopt xsavec xgetbv1"},
    {"Skylake-Server", 0x00050654, "Skylake-Client", "clwb"},
    {"Icelake-Server", 0x000606a6, "Skylake-Server", "sha-ni umip rdpid fsrm"},
};

bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const CpuModel> known_models() { return kModels; }

const CpuModel* find_model(std::string_view name) {
    const auto found = std::ranges::find_if(
        kModels, [name](const CpuModel& model) { return same_name(model.name, name); });
    return found == std::end(kModels) ? nullptr : &*found;
}

FeatureSet features_of(const CpuModel& model) {
    if (model.features == "*") return offerable_features();
    FeatureSet set{};
    if (!model.parent.empty()) set = features_of(*find_model(model.parent));
    std::string_view rest = model.features;
    while (!rest.empty()) {
        const size_t blank = std::min(rest.find(' '), rest.size());
        const Feature* feature = find_feature(rest.substr(0, blank));
        CHECK(feature != nullptr);
        insert(set, *feature);
        rest.remove_prefix(std::min(blank + 1, rest.size()));
    }
    return set;
}

}  // namespace mynah
