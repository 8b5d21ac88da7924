#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace mynah {

// The registers of CPUID that hold feature bits [SDM 2A CPUID].
enum class FeatureWord : uint8_t {
    kLeaf1Ecx,
    kLeaf1Edx,
    kLeaf7Ebx,
    kLeaf7Ecx,
    kLeaf7Edx,
    kLeaf7Sub1Eax,
    kLeaf7Sub2Edx,
    kLeafDSub1Eax,
    kLeaf6Eax,
    kExt1Ecx,
    kExt1Edx,
    kExt7Edx,
    kCount
};

// Feature bits, one word for each FeatureWord.
using FeatureSet = std::array<uint32_t, static_cast<unsigned>(FeatureWord::kCount)>;

// Who must be able to do a feature before a guest may see it.
enum class FeatureNeeds : uint8_t {
    kEngine,     // our own code does it whole, whatever the host is
    kHost,       // the host's silicon executes it
    kOnRequest,  // as kEngine, but only models that name it or a + bring it
    kAbsent,     // not implemented; known so that it can be taken away and refused by name
};

struct Feature {
    std::string_view name;  // as --cpu and /proc/cpuinfo spell it
    FeatureWord word;
    uint8_t position;
    FeatureNeeds needs;
};

std::span<const Feature> known_features();
// Null if there is no such feature. Other usual spellings (sse4_1, lzcnt, nx...) are known too;
// case does not matter.
const Feature* find_feature(std::string_view name);

// Adds or removes what the named feature stands for.
inline bool contains(const FeatureSet& set, const Feature& feature) {
    return (set[static_cast<unsigned>(feature.word)] >> feature.position & 1) != 0;
}
inline void insert(FeatureSet& set, const Feature& feature) {
    set[static_cast<unsigned>(feature.word)] |= 1u << feature.position;
}
inline void remove(FeatureSet& set, const Feature& feature) {
    set[static_cast<unsigned>(feature.word)] &= ~(1u << feature.position);
}
bool contains(const FeatureSet& set, std::string_view name);  // name must be known (CHECKed)

// Takes away every feature that depends on one that is not there (AVX2 without AVX...).
void remove_unfounded(FeatureSet& set);

// What the host's silicon has. Read once: CPUID traps on virtual hosts.
const FeatureSet& host_features();

// All features the engine offers on this host, without those that come on request.
FeatureSet offerable_features();
// Whether a + may bring it on this host.
bool can_be_had(const Feature& feature);

}  // namespace mynah
