#include "engine/kvm/kvm_cpuid.h"

#include <cstddef>
#include <cstring>
#include <vector>

#include "engine/kvm/kvm_requests.h"
#include "spec/kvm/paravirt.h"

namespace mynah::kvm {
namespace {

// The header with its entries, as one piece of memory.
class CpuidTable {
  public:
    explicit CpuidTable(uint32_t entries)
        : bytes_(sizeof(CpuidHeader) + entries * sizeof(kvm_cpuid_entry2)) {
        header()->entries = entries;
    }
    CpuidHeader* header() { return reinterpret_cast<CpuidHeader*>(bytes_.data()); }
    kvm_cpuid_entry2& entry(uint32_t i) {
        return reinterpret_cast<kvm_cpuid_entry2*>(bytes_.data() + sizeof(CpuidHeader))[i];
    }
    const kvm_cpuid_entry2* find(uint32_t leaf, uint32_t subleaf) {
        for (uint32_t i = 0; i < header()->entries; ++i) {
            const kvm_cpuid_entry2& each = entry(i);
            const bool indexed = (each.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;
            if (each.function == leaf && (!indexed || each.index == subleaf)) return &each;
        }
        return nullptr;
    }

  private:
    std::vector<std::byte> bytes_;
};

bool has_subleaves(uint32_t leaf) {
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x1f;
}

// Feature words: what the policy says and KVM can do. What KVM leaves out though the machine's
// devices provide it (APIC, x2APIC, TSC deadline, the hypervisor's bit) stays.
void restrict_features(kvm_cpuid_entry2& entry, const kvm_cpuid_entry2& supported) {
    constexpr uint32_t kX2Apic = 1u << 21, kDeadline = 1u << 24, kHypervisor = 1u << 31,
                       kApic = 1u << 9;
    if (entry.function == 1) {
        entry.ecx &= supported.ecx | kX2Apic | kDeadline | kHypervisor;
        entry.edx &= supported.edx | kApic;
    } else if (entry.function == 7 && entry.index == 0) {
        entry.ebx &= supported.ebx;
        entry.ecx &= supported.ecx;
        entry.edx &= supported.edx;
    } else if (entry.function == 0xd && entry.index == 1) {
        entry.eax &= supported.eax;
    } else if (entry.function == 0x80000001) {
        entry.ecx &= supported.ecx;
        entry.edx &= supported.edx;
    }
}

bool same_maker(const CpuidPolicy& policy, const kvm_cpuid_entry2* host) {
    const CpuidLeaf leaf = policy.query(0, 0, {});
    return host != nullptr && leaf.ebx == host->ebx && leaf.ecx == host->ecx &&
           leaf.edx == host->edx;
}

// The clock is the machine's, as on the other engines; it is right where KVM takes an offset of the
// TSC exactly. The rest is the kernel's. Hypercalls only for a guest that takes the processor for
// one of its maker's: another one uses the other maker's instruction, which KVM overwrites with the
// right one in the guest's code, and Linux' code cannot be written.
uint32_t possible_paravirt(const CpuidPolicy& policy, CpuidTable& supported,
                           const PossibleParts& parts) {
    namespace feature = kvm_guest::feature;
    const kvm_cpuid_entry2* const kernel = supported.find(kvm_guest::kFeaturesLeaf, 0);
    uint32_t kernels = feature::kStealTime | feature::kPvTlbFlush;
    if (parts.kernel_apics) {
        kernels |= feature::kPvEoi;
        if (same_maker(policy, supported.find(0, 0)))
            kernels |= feature::kPvUnhalt | feature::kPvSendIpi | feature::kPvSchedYield;
    }
    const uint32_t clock =
        feature::kClockOld | feature::kNoIoDelay | feature::kClock | feature::kClockStable;
    return (parts.tsc_offset ? clock : 0) | (kernel != nullptr ? kernels & kernel->eax : 0);
}

// Where the words are that restrict_features() looks at.
struct FeaturePlace {
    FeatureWord feature;
    uint32_t leaf, subleaf;
    __u32 kvm_cpuid_entry2::*word;
};
const FeaturePlace* place_of(FeatureWord feature) {
    static constexpr FeaturePlace kPlaces[] = {
        {FeatureWord::kLeaf1Ecx, 1, 0, &kvm_cpuid_entry2::ecx},
        {FeatureWord::kLeaf1Edx, 1, 0, &kvm_cpuid_entry2::edx},
        {FeatureWord::kLeaf7Ebx, 7, 0, &kvm_cpuid_entry2::ebx},
        {FeatureWord::kLeaf7Ecx, 7, 0, &kvm_cpuid_entry2::ecx},
        {FeatureWord::kLeaf7Edx, 7, 0, &kvm_cpuid_entry2::edx},
        {FeatureWord::kLeafDSub1Eax, 0xd, 1, &kvm_cpuid_entry2::eax},
        {FeatureWord::kExt1Ecx, 0x80000001, 0, &kvm_cpuid_entry2::ecx},
        {FeatureWord::kExt1Edx, 0x80000001, 0, &kvm_cpuid_entry2::edx}};
    for (const FeaturePlace& place : kPlaces) {
        if (place.feature == feature) return &place;
    }
    return nullptr;
}

void append(std::vector<kvm_cpuid_entry2>& out, const CpuidPolicy& policy, uint32_t leaf,
            uint32_t subleaf, uint32_t apic_id, bool indexed) {
    // KVM itself mirrors CR4.OSXSAVE, IA32_APIC_BASE and XCR0.
    const CpuidLeaf value = policy.query(
        leaf, subleaf,
        {.apic_id = apic_id, .osxsave = false, .apic_enabled = true, .xcr0 = policy.valid_xcr0()});
    kvm_cpuid_entry2 entry{};
    entry.function = leaf;
    entry.index = subleaf;
    entry.flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    entry.eax = value.eax;
    entry.ebx = value.ebx;
    entry.ecx = value.ecx;
    entry.edx = value.edx;
    out.push_back(entry);
}

}  // namespace

bool presents_kvm(const CpuidPolicy& policy) {
    const CpuidLeaf leaf = policy.query(0x40000000, 0, {});
    const uint32_t words[] = {leaf.ebx, leaf.ecx, leaf.edx};
    return std::memcmp(words, kvm_guest::kSignature.data(), sizeof words) == 0;
}

Result<CpuidTaken> set_cpuid(const Handle& device, const Handle& vcpu, const CpuidPolicy& policy,
                             uint32_t apic_id, const PossibleParts& parts) {
    constexpr uint32_t kMostSupported = 256, kMostSubleaves = 8;
    CpuidTable supported(kMostSupported);
    TRY(device.request("KVM_GET_SUPPORTED_CPUID", kGetSupportedCpuid, supported.header()));
    std::vector<kvm_cpuid_entry2> entries;
    for (const uint32_t first : {0u, 0x40000000u, 0x80000000u}) {
        const uint32_t last =
            policy.query(first, 0, {.apic_id = apic_id, .osxsave = false, .apic_enabled = true,
                                    .xcr0 = 1}).eax;
        if (first == 0x40000000 && !policy.has("hypervisor")) continue;
        for (uint32_t leaf = first; leaf <= last && leaf - first < 0x100; ++leaf) {
            const bool indexed = has_subleaves(leaf);
            for (uint32_t i = 0; i < (indexed ? kMostSubleaves : 1); ++i)
                append(entries, policy, leaf, i, apic_id, indexed);
        }
    }
    CpuidTaken taken;
    taken.paravirt = possible_paravirt(policy, supported, parts);
    const bool kvm = presents_kvm(policy);
    CpuidTable table(static_cast<uint32_t>(entries.size()));
    for (uint32_t i = 0; i < entries.size(); ++i) {
        const kvm_cpuid_entry2* const known =
            supported.find(entries[i].function, entries[i].index);
        if (known != nullptr) restrict_features(entries[i], *known);
        if (kvm && entries[i].function == kvm_guest::kFeaturesLeaf)
            entries[i].eax &= taken.paravirt;
        table.entry(i) = entries[i];
    }
    TRY(vcpu.request("KVM_SET_CPUID2", kSetCpuid2, table.header()));
    for (const Feature& feature : known_features()) {
        const FeaturePlace* const place = place_of(feature.word);
        if (place == nullptr || !policy.has(feature.name)) continue;
        const kvm_cpuid_entry2* const left = table.find(place->leaf, place->subleaf);
        if (left != nullptr && (left->*place->word >> feature.position & 1) == 0)
            taken.lacking.emplace_back(feature.name);
    }
    return taken;
}

}  // namespace mynah::kvm
