#include "cpu/cpuid_features.h"

#include <cpuid.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "base/check.h"

namespace mynah {
namespace {

using enum FeatureWord;
using enum FeatureNeeds;

// clang-format off
// In the order of the manual's tables [SDM 2A CPUID tables 3-10, 3-11, 3-8].
constexpr Feature kFeatures[] = {
    {"pni", kLeaf1Ecx, 0, kHost},
    {"pclmulqdq", kLeaf1Ecx, 1, kHost},
    {"monitor", kLeaf1Ecx, 3, kOnRequest},
    {"vmx", kLeaf1Ecx, 5, kAbsent},
    {"smx", kLeaf1Ecx, 6, kAbsent},
    {"ssse3", kLeaf1Ecx, 9, kHost},
    {"fma", kLeaf1Ecx, 12, kHost},
    {"cx16", kLeaf1Ecx, 13, kHost},
    {"pcid", kLeaf1Ecx, 17, kEngine},
    {"sse4.1", kLeaf1Ecx, 19, kHost},
    {"sse4.2", kLeaf1Ecx, 20, kHost},
    {"x2apic", kLeaf1Ecx, 21, kEngine},
    {"movbe", kLeaf1Ecx, 22, kEngine},
    {"popcnt", kLeaf1Ecx, 23, kHost},
    {"tsc-deadline", kLeaf1Ecx, 24, kEngine},
    {"aes", kLeaf1Ecx, 25, kHost},
    {"xsave", kLeaf1Ecx, 26, kHost},
    {"avx", kLeaf1Ecx, 28, kHost},
    {"f16c", kLeaf1Ecx, 29, kHost},
    {"rdrand", kLeaf1Ecx, 30, kHost},
    {"hypervisor", kLeaf1Ecx, 31, kEngine},
    {"fpu", kLeaf1Edx, 0, kEngine},
    {"vme", kLeaf1Edx, 1, kEngine},
    {"de", kLeaf1Edx, 2, kEngine},
    {"pse", kLeaf1Edx, 3, kEngine},
    {"tsc", kLeaf1Edx, 4, kEngine},
    {"msr", kLeaf1Edx, 5, kEngine},
    {"pae", kLeaf1Edx, 6, kEngine},
    {"mce", kLeaf1Edx, 7, kEngine},
    {"cx8", kLeaf1Edx, 8, kEngine},
    {"apic", kLeaf1Edx, 9, kEngine},
    {"sep", kLeaf1Edx, 11, kEngine},
    {"mtrr", kLeaf1Edx, 12, kEngine},
    {"pge", kLeaf1Edx, 13, kEngine},
    {"mca", kLeaf1Edx, 14, kEngine},
    {"cmov", kLeaf1Edx, 15, kEngine},
    {"pat", kLeaf1Edx, 16, kEngine},
    {"pse36", kLeaf1Edx, 17, kEngine},
    {"clflush", kLeaf1Edx, 19, kEngine},
    {"acpi", kLeaf1Edx, 22, kAbsent},
    {"mmx", kLeaf1Edx, 23, kEngine},
    {"fxsr", kLeaf1Edx, 24, kEngine},
    {"sse", kLeaf1Edx, 25, kEngine},
    {"sse2", kLeaf1Edx, 26, kEngine},
    {"ss", kLeaf1Edx, 27, kEngine},
    {"fsgsbase", kLeaf7Ebx, 0, kEngine},
    {"tsc_adjust", kLeaf7Ebx, 1, kEngine},
    {"bmi1", kLeaf7Ebx, 3, kHost},
    {"hle", kLeaf7Ebx, 4, kAbsent},
    {"avx2", kLeaf7Ebx, 5, kHost},
    {"fdp-excptn-only", kLeaf7Ebx, 6, kHost},
    {"smep", kLeaf7Ebx, 7, kEngine},
    {"bmi2", kLeaf7Ebx, 8, kHost},
    {"erms", kLeaf7Ebx, 9, kEngine},
    {"invpcid", kLeaf7Ebx, 10, kEngine},
    {"rtm", kLeaf7Ebx, 11, kAbsent},
    {"zero-fcs-fds", kLeaf7Ebx, 13, kHost},
    {"mpx", kLeaf7Ebx, 14, kAbsent},
    {"avx512f", kLeaf7Ebx, 16, kAbsent},
    {"avx512dq", kLeaf7Ebx, 17, kAbsent},
    {"rdseed", kLeaf7Ebx, 18, kHost},
    {"adx", kLeaf7Ebx, 19, kHost},
    {"smap", kLeaf7Ebx, 20, kEngine},
    {"avx512ifma", kLeaf7Ebx, 21, kAbsent},
    {"clflushopt", kLeaf7Ebx, 23, kEngine},
    {"clwb", kLeaf7Ebx, 24, kEngine},
    {"avx512cd", kLeaf7Ebx, 28, kAbsent},
    {"sha-ni", kLeaf7Ebx, 29, kHost},
    {"avx512bw", kLeaf7Ebx, 30, kAbsent},
    {"avx512vl", kLeaf7Ebx, 31, kAbsent},
    {"avx512vbmi", kLeaf7Ecx, 1, kAbsent},
    {"umip", kLeaf7Ecx, 2, kEngine},
    {"pku", kLeaf7Ecx, 3, kAbsent},
    {"waitpkg", kLeaf7Ecx, 5, kAbsent},
    {"avx512-vbmi2", kLeaf7Ecx, 6, kAbsent},
    {"shstk", kLeaf7Ecx, 7, kAbsent},
    {"gfni", kLeaf7Ecx, 8, kAbsent},
    {"vaes", kLeaf7Ecx, 9, kAbsent},
    {"vpclmulqdq", kLeaf7Ecx, 10, kAbsent},
    {"avx512-vnni", kLeaf7Ecx, 11, kAbsent},
    {"avx512-bitalg", kLeaf7Ecx, 12, kAbsent},
    {"avx512-vpopcntdq", kLeaf7Ecx, 14, kAbsent},
    {"la57", kLeaf7Ecx, 16, kAbsent},
    {"rdpid", kLeaf7Ecx, 22, kEngine},
    {"bus-lock-detect", kLeaf7Ecx, 24, kAbsent},
    {"cldemote", kLeaf7Ecx, 25, kAbsent},
    {"movdiri", kLeaf7Ecx, 27, kAbsent},
    {"movdir64b", kLeaf7Ecx, 28, kAbsent},
    {"fsrm", kLeaf7Edx, 4, kEngine},
    {"md-clear", kLeaf7Edx, 10, kEngine},
    {"serialize", kLeaf7Edx, 14, kEngine},
    {"ibt", kLeaf7Edx, 20, kAbsent},
    {"amx-bf16", kLeaf7Edx, 22, kAbsent},
    {"avx512-fp16", kLeaf7Edx, 23, kAbsent},
    {"amx-tile", kLeaf7Edx, 24, kAbsent},
    {"amx-int8", kLeaf7Edx, 25, kAbsent},
    {"spec-ctrl", kLeaf7Edx, 26, kEngine},
    {"stibp", kLeaf7Edx, 27, kEngine},
    {"arch-capabilities", kLeaf7Edx, 29, kEngine},
    {"ssbd", kLeaf7Edx, 31, kEngine},
    {"avx-vnni", kLeaf7Sub1Eax, 4, kAbsent},
    {"avx512-bf16", kLeaf7Sub1Eax, 5, kAbsent},
    {"fzrm", kLeaf7Sub1Eax, 10, kAbsent},
    {"fsrs", kLeaf7Sub1Eax, 11, kAbsent},
    {"fsrc", kLeaf7Sub1Eax, 12, kAbsent},
    {"bhi-ctrl", kLeaf7Sub2Edx, 4, kEngine},
    {"mcdt-no", kLeaf7Sub2Edx, 5, kEngine},
    {"xsaveopt", kLeafDSub1Eax, 0, kHost},
    {"xsavec", kLeafDSub1Eax, 1, kHost},
    {"xgetbv1", kLeafDSub1Eax, 2, kHost},
    {"xsaves", kLeafDSub1Eax, 3, kAbsent},
    {"arat", kLeaf6Eax, 2, kEngine},
    {"lahf-lm", kExt1Ecx, 0, kEngine},
    {"svm", kExt1Ecx, 2, kAbsent},
    {"abm", kExt1Ecx, 5, kHost},
    {"3dnowprefetch", kExt1Ecx, 8, kEngine},
    {"syscall", kExt1Edx, 11, kEngine},
    {"nx", kExt1Edx, 20, kEngine},
    {"pdpe1gb", kExt1Edx, 26, kEngine},
    {"rdtscp", kExt1Edx, 27, kEngine},
    {"lm", kExt1Edx, 29, kEngine},
    {"invtsc", kExt7Edx, 8, kEngine},
};

struct Alias {
    std::string_view alias, name;
};
constexpr Alias kAliases[] = {
    {"sse3", "pni"},           {"pclmul", "pclmulqdq"},     {"cmpxchg16b", "cx16"},
    {"cmpxchg8b", "cx8"},      {"sse4-1", "sse4.1"},        {"sse4-2", "sse4.2"},
    {"tscdeadline", "tsc-deadline"},                        {"tsc-deadline-timer", "tsc-deadline"},
    {"lzcnt", "abm"},          {"sha", "sha-ni"},           {"xd", "nx"},
    {"1g-pages", "pdpe1gb"},   {"nonstop-tsc", "invtsc"},   {"lahf", "lahf-lm"},
    {"sysenter", "sep"},       {"clfsh", "clflush"},        {"ibrs", "spec-ctrl"},
    {"arch-caps", "arch-capabilities"},                     {"prefetchw", "3dnowprefetch"},
    {"i64", "lm"},             {"tsc-adjust", "tsc_adjust"},
};

struct Dependency {
    std::string_view feature, needs;
};
// A feature and one it cannot be without; chains are followed to their end.
constexpr Dependency kDependencies[] = {
    {"sse", "fxsr"},        {"sse2", "sse"},       {"pni", "sse2"},         {"ssse3", "pni"},
    {"sse4.1", "ssse3"},    {"sse4.2", "sse4.1"},  {"aes", "sse2"},         {"pclmulqdq", "sse2"},
    {"sha-ni", "sse2"},     {"avx", "xsave"},      {"avx", "sse4.2"},       {"avx2", "avx"},
    {"fma", "avx"},         {"f16c", "avx"},       {"bmi1", "avx"},         {"bmi2", "avx"},
    {"xsaveopt", "xsave"},  {"xsavec", "xsave"},   {"xgetbv1", "xsave"},    {"mmx", "fpu"},
    {"fxsr", "fpu"},        {"pse36", "pse"},      {"nx", "pae"},           {"lm", "pae"},
    {"pcid", "lm"},         {"invpcid", "pcid"},   {"syscall", "lm"},       {"fsgsbase", "lm"},
    {"pdpe1gb", "lm"},      {"cx16", "cx8"},       {"tsc-deadline", "apic"}, {"x2apic", "apic"},
    {"arat", "apic"},       {"rdtscp", "tsc"},     {"invtsc", "tsc"},       {"tsc_adjust", "tsc"},
    {"rdpid", "rdtscp"},    {"mca", "mce"},        {"lahf-lm", "lm"},
    {"avx512f", "avx2"},    {"avx512bw", "avx512f"},  {"avx512cd", "avx512f"}, {"avx512dq", "avx512f"},
    {"avx512vl", "avx512f"}, {"avx512ifma", "avx512f"}, {"avx512vbmi", "avx512f"},
    {"avx512-vbmi2", "avx512f"}, {"avx512-vnni", "avx512f"}, {"avx512-bitalg", "avx512f"},
    {"avx512-vpopcntdq", "avx512f"}, {"avx512-fp16", "avx512f"}, {"avx512-bf16", "avx512f"},
    {"vaes", "avx"},        {"vpclmulqdq", "avx"},    {"avx-vnni", "avx2"},     {"gfni", "sse2"},
    {"xsaves", "xsavec"},   {"pku", "xsave"},         {"mpx", "xsave"},         {"amx-tile", "xsave"},
    {"amx-int8", "amx-tile"}, {"amx-bf16", "amx-tile"}, {"la57", "lm"},
    {"bhi-ctrl", "spec-ctrl"}, {"stibp", "spec-ctrl"}, {"ssbd", "spec-ctrl"},
};

// clang-format on

std::string normalised(std::string_view name) {
    std::string out(name);
    for (char& c : out) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (c == '_') c = '-';
    }
    return out;
}

// The state of XCR0 on the host: AVX counts only when the host's kernel switches it.
uint32_t host_xcr0(uint32_t leaf1_ecx) {
    if ((leaf1_ecx >> 27 & 1) == 0) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

FeatureSet read_host_features() {
    FeatureSet set{};
    const auto word = [&set](FeatureWord w) -> uint32_t& { return set[static_cast<unsigned>(w)]; };
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) != 0) {
        word(kLeaf1Ecx) = c;
        word(kLeaf1Edx) = d;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
        word(kLeaf7Ebx) = b;
        word(kLeaf7Ecx) = c;
        word(kLeaf7Edx) = d;
        if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) word(kLeaf7Sub1Eax) = a;
    }
    if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d) != 0) word(kLeafDSub1Eax) = a;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) != 0) {
        word(kExt1Ecx) = c;
        word(kExt1Edx) = d;
    }
    const uint32_t xcr0 = host_xcr0(word(kLeaf1Ecx));
    if ((xcr0 & 2) == 0) word(kLeaf1Ecx) &= ~(1u << 26);
    if ((xcr0 & 6) != 6) word(kLeaf1Ecx) &= ~(1u << 28);
    return set;
}

}  // namespace

std::span<const Feature> known_features() { return kFeatures; }

const Feature* find_feature(std::string_view name) {
    // The usual case, from our own code: spelled as in the table.
    for (const Feature& feature : kFeatures) {
        if (feature.name == name) return &feature;
    }
    std::string wanted = normalised(name);
    for (const Alias& alias : kAliases) {
        if (wanted == alias.alias) wanted = alias.name;
    }
    wanted = normalised(wanted);
    const auto found = std::ranges::find_if(kFeatures, [&wanted](const Feature& feature) {
        return normalised(feature.name) == wanted;
    });
    return found == std::end(kFeatures) ? nullptr : &*found;
}

bool contains(const FeatureSet& set, std::string_view name) {
    const Feature* feature = find_feature(name);
    CHECK(feature != nullptr);
    return contains(set, *feature);
}

void remove_unfounded(FeatureSet& set) {
    for (bool changed = true; changed;) {
        changed = false;
        for (const Dependency& dependency : kDependencies) {
            if (!contains(set, dependency.feature) || contains(set, dependency.needs)) continue;
            remove(set, *find_feature(dependency.feature));
            changed = true;
        }
    }
}

const FeatureSet& host_features() {
    static const FeatureSet set = read_host_features();
    return set;
}

bool can_be_had(const Feature& feature) {
    switch (feature.needs) {
        case kEngine:
        case kOnRequest:
            return true;
        case kHost:
            return contains(host_features(), feature);
        case kAbsent:
            break;
    }
    return false;
}

FeatureSet offerable_features() {
    FeatureSet set{};
    for (const Feature& feature : kFeatures) {
        if (feature.needs != kOnRequest && can_be_had(feature)) insert(set, feature);
    }
    remove_unfounded(set);
    return set;
}

}  // namespace mynah
