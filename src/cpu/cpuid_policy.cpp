#include "cpu/cpuid_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "spec/x86/control_registers.h"

// Contents of the leaves as in [SDM 2A CPUID]; which features there are is said in
// cpuid_features.cpp, cpuid_models.cpp and cpu_choice.cpp.

namespace mynah {
namespace {

constexpr uint32_t kMaxBasicLeaf = 0x1f;
constexpr uint32_t kMaxExtendedLeaf = 0x80000008;
constexpr uint32_t kHypervisorFirst = 0x40000000, kHypervisorLast = 0x40000010;
constexpr uint64_t kCrystalHz = 1'000'000'000;

uint32_t four_chars(std::string_view text, size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4 && at + i < text.size(); ++i) {
        value |= static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])) << (8 * i);
    }
    return value;
}

unsigned width_of(uint32_t count) { return static_cast<unsigned>(std::bit_width(count - 1)); }

}  // namespace

Result<CpuidPolicy> CpuidPolicy::create(std::string_view text, CpuTopology topology,
                                        uint64_t tsc_hz) {
    CHECK(topology.sockets > 0 && topology.cores > 0 && topology.threads > 0 && tsc_hz > 0);
    CpuChoice choice = TRY(choose_cpu(text));
    CpuidPolicy policy;
    policy.features_ = choice.features;
    policy.topology_ = topology;
    policy.signature_ = choice.signature;
    policy.thread_bits_ = width_of(topology.threads);
    policy.core_bits_ = width_of(topology.cores);
    policy.fill_valid_bits();
    policy.fill_basic_leaves();
    policy.fill_cache_leaves();
    policy.fill_state_leaves();
    policy.fill_frequency_leaves(tsc_hz);
    policy.fill_hypervisor_leaves(tsc_hz);
    policy.fill_extended_leaves(choice.brand);
    policy.choice_ = std::move(choice);
    return policy;
}

std::vector<std::string> CpuidPolicy::model_names() {
    std::vector<std::string> names;
    for (const CpuModel& model : known_models()) names.emplace_back(model.name);
    return names;
}

bool CpuidPolicy::has(std::string_view feature) const { return contains(features_, feature); }

uint64_t CpuidPolicy::apic_timer_hz() const { return kCrystalHz; }

uint32_t CpuidPolicy::apic_id(uint32_t vcpu) const {
    const uint32_t thread = vcpu % topology_.threads;
    const uint32_t core = vcpu / topology_.threads % topology_.cores;
    const uint32_t socket = vcpu / (topology_.threads * topology_.cores);
    return socket << (thread_bits_ + core_bits_) | core << thread_bits_ | thread;
}

void CpuidPolicy::fill_basic_leaves() {
    constexpr std::string_view kVendor = "GenuineIntel";
    put(0, 0,
        {.eax = kMaxBasicLeaf,
         .ebx = four_chars(kVendor, 0),
         .ecx = four_chars(kVendor, 8),
         .edx = four_chars(kVendor, 4)});
    const uint32_t package_ids = 1u << std::min(thread_bits_ + core_bits_, 7u);
    const uint32_t multithreaded = topology_.threads * topology_.cores > 1 ? 1u << 28 : 0;
    constexpr uint32_t kClflushLine = 8u << 8;  // in 8-byte units
    put(1, 0,
        {.eax = signature_,
         .ebx = kClflushLine | package_ids << 16,
         .ecx = word(FeatureWord::kLeaf1Ecx),
         .edx = word(FeatureWord::kLeaf1Edx) | multithreaded});
    if (has("monitor")) {
        // Line of 64 bytes; interrupts end MWAIT even when masked; one C1 sub-state.
        put(5, 0, {.eax = 64, .ebx = 64, .ecx = 3, .edx = 0x10});
    }
    put(6, 0, {.eax = word(FeatureWord::kLeaf6Eax)});
    put(7, 0,
        {.eax = 2,
         .ebx = word(FeatureWord::kLeaf7Ebx),
         .ecx = word(FeatureWord::kLeaf7Ecx),
         .edx = word(FeatureWord::kLeaf7Edx)});
    put(7, 1, {.eax = word(FeatureWord::kLeaf7Sub1Eax)});
    put(7, 2, {.edx = word(FeatureWord::kLeaf7Sub2Edx)});
}

void CpuidPolicy::fill_cache_leaves() {
    // Leaf 2: "see leaf 4" (FFh), 64-byte prefetch (F0h); 01h says that one call is enough.
    put(2, 0, {.eax = 0x00feff01, .ebx = 0x000000f0});
    struct Cache {
        uint32_t type, level, kib, ways;
        bool shared;  // by the whole package
    };
    constexpr Cache kCaches[] = {{1, 1, 32, 8, false},
                                 {2, 1, 32, 8, false},
                                 {3, 2, 1024, 16, false},
                                 {3, 3, 16384, 16, true}};
    const unsigned package_bits = thread_bits_ + core_bits_;
    for (uint32_t i = 0; i < std::size(kCaches); ++i) {
        const Cache& cache = kCaches[i];
        const uint32_t sharing_ids = 1u
                                     << (cache.shared ? std::min(package_bits, 11u) : thread_bits_);
        const uint32_t core_ids = 1u << std::min(core_bits_, 5u);
        const uint32_t sets = cache.kib * 1024 / 64 / cache.ways;
        put(4, i,
            {.eax = cache.type | cache.level << 5 | 1u << 8 | (sharing_ids - 1) << 14 |
                    (core_ids - 1) << 26,
             .ebx = 63 | (cache.ways - 1) << 22,
             .ecx = sets - 1});
    }
}

void CpuidPolicy::fill_state_leaves() {
    if (!has("xsave")) return;
    // Standard-format area: 512 legacy bytes and a header of 64, then AVX's upper halves
    // [SDM 1 13.4]. EBX of subleaves 0 and 1 depend on XCR0: see query.
    const bool avx = has("avx");
    put(0xd, 0, {.eax = static_cast<uint32_t>(valid_xcr0()), .ebx = 576, .ecx = avx ? 832u : 576u});
    put(0xd, 1, {.eax = word(FeatureWord::kLeafDSub1Eax)});
    if (avx) put(0xd, 2, {.eax = 256, .ebx = 576});
}

// Linux computes crystal_khz * numerator / denominator in 32 bits, in whole kHz, so the terms
// must stay small. Among those the fraction is taken that such a reader gets nearest with, and
// then the one that is nearest itself.
CpuidPolicy::TscRatio CpuidPolicy::ratio_for(uint64_t tsc_hz) {
    const uint64_t tsc_khz = std::max<uint64_t>(tsc_hz / 1000, 1);
    const uint64_t max_denominator = std::clamp<uint64_t>(0xf0000000 / tsc_khz, 1, 1000);
    const auto distance = [](uint64_t a, uint64_t b) { return a > b ? a - b : b - a; };
    TscRatio best;
    std::pair<uint64_t, uint64_t> best_error{~uint64_t{0}, 0};
    for (uint64_t denominator = 1; denominator <= max_denominator; ++denominator) {
        const uint64_t below = tsc_hz * denominator / kCrystalHz;
        for (uint64_t numerator : {below, below + 1}) {
            const std::pair error{distance(kCrystalHz / 1000 * numerator / denominator, tsc_khz),
                                  distance(kCrystalHz * numerator / denominator, tsc_hz)};
            if (numerator == 0 || error >= best_error) continue;
            best_error = error;
            best = {.denominator = static_cast<uint32_t>(denominator),
                    .numerator = static_cast<uint32_t>(numerator)};
        }
    }
    return best;
}

void CpuidPolicy::fill_frequency_leaves(uint64_t tsc_hz) {
    const TscRatio ratio = ratio_for(tsc_hz);
    put(0x15, 0, {.eax = ratio.denominator, .ebx = ratio.numerator, .ecx = kCrystalHz});
    const uint32_t mhz =
        static_cast<uint32_t>(std::clamp<uint64_t>((tsc_hz + 500'000) / 1'000'000, 1, 0xffff));
    put(0x16, 0, {.eax = mhz, .ebx = mhz, .ecx = 100});
}

void CpuidPolicy::fill_hypervisor_leaves(uint64_t tsc_hz) {
    if (!has("hypervisor")) return;
    // A signature no guest takes for an interface it knows; the frequencies are where VMware put
    // them and others look: EAX the TSC's, EBX the APIC timer's, in kHz.
    constexpr std::string_view kSignature = "MynahMynah  ";
    put(kHypervisorFirst, 0,
        {.eax = kHypervisorLast,
         .ebx = four_chars(kSignature, 0),
         .ecx = four_chars(kSignature, 4),
         .edx = four_chars(kSignature, 8)});
    put(kHypervisorLast, 0,
        {.eax = static_cast<uint32_t>(tsc_hz / 1000), .ebx = kCrystalHz / 1000});
}

void CpuidPolicy::present_hypervisor(std::string_view signature,
                                     std::initializer_list<HypervisorLeaf> leaves) {
    const auto first = std::ranges::find(entries_, kHypervisorFirst, &Entry::leaf);
    CHECK(first != entries_.end() && signature.size() == 12);
    first->value.ebx = four_chars(signature, 0);
    first->value.ecx = four_chars(signature, 4);
    first->value.edx = four_chars(signature, 8);
    for (const HypervisorLeaf& leaf : leaves) {
        CHECK(leaf.leaf > kHypervisorFirst && leaf.leaf < kHypervisorLast);
        std::erase_if(entries_, [&](const Entry& entry) { return entry.leaf == leaf.leaf; });
        put(leaf.leaf, 0, leaf.value);
    }
}

void CpuidPolicy::fill_extended_leaves(std::string_view brand) {
    put(0x80000000, 0, {.eax = kMaxExtendedLeaf});
    put(0x80000001, 0, {.ecx = word(FeatureWord::kExt1Ecx), .edx = word(FeatureWord::kExt1Edx)});
    for (uint32_t i = 0; i < 3; ++i) {
        const size_t at = i * 16;
        put(0x80000002 + i, 0,
            {.eax = four_chars(brand, at),
             .ebx = four_chars(brand, at + 4),
             .ecx = four_chars(brand, at + 8),
             .edx = four_chars(brand, at + 12)});
    }
    put(0x80000006, 0, {.ecx = 1024u << 16 | 8u << 12 | 64});  // L2: KiB, 16 ways, line
    put(0x80000007, 0, {.edx = word(FeatureWord::kExt7Edx)});
    put(0x80000008, 0, {.eax = physical_bits_ | 48u << 8});
}

// Leaves 0Bh and 1Fh: one level for threads, one for cores, then an end mark.
CpuidLeaf CpuidPolicy::topology_leaf(uint32_t subleaf, uint32_t apic_id) const {
    CpuidLeaf leaf{.ecx = subleaf & 0xff, .edx = apic_id};
    if (subleaf == 0) {
        leaf.eax = thread_bits_;
        leaf.ebx = topology_.threads;
        leaf.ecx |= 1u << 8;
    } else if (subleaf == 1) {
        leaf.eax = thread_bits_ + core_bits_;
        leaf.ebx = topology_.threads * topology_.cores;
        leaf.ecx |= 2u << 8;
    }
    return leaf;
}

CpuidLeaf CpuidPolicy::query(uint32_t leaf, uint32_t subleaf, const Dynamic& dynamic) const {
    // Beyond the last leaf the highest basic one answers; the hypervisor's range is left alone.
    const bool hypervisor = leaf >= kHypervisorFirst && leaf < kHypervisorFirst + 0x10000000;
    if (!hypervisor && leaf > kMaxBasicLeaf && (leaf < 0x80000000 || leaf > kMaxExtendedLeaf)) {
        leaf = kMaxBasicLeaf;
    }
    if (leaf == 0xb || leaf == 0x1f) return topology_leaf(subleaf, dynamic.apic_id);

    const bool has_subleaves = leaf == 4 || leaf == 7 || leaf == 0xd;
    const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
        return entry.leaf == leaf && (!has_subleaves || entry.subleaf == subleaf);
    });
    if (found == entries_.end()) return {};
    CpuidLeaf value = found->value;
    if (leaf == 1) {
        value.ebx |= (dynamic.apic_id & 0xff) << 24;
        if (dynamic.osxsave) value.ecx |= 1u << 27;
        if (!dynamic.apic_enabled) value.edx &= ~(1u << 9);
    } else if (leaf == 0xd && subleaf <= 1) {
        const bool compact = has("xsavec") || has("xsaves");
        const bool avx = (dynamic.xcr0 & 4) != 0;
        if (subleaf == 0 || compact) value.ebx = avx ? 832 : 576;
    }
    return value;
}

// Kept, as guests write these registers often.
void CpuidPolicy::fill_valid_bits() {
    namespace cr4 = x86::cr4;
    namespace efer = x86::efer;
    struct Bit {
        std::string_view feature;
        uint64_t bits;
    };
    constexpr Bit kBits[] = {
        {"vme", cr4::kVme | cr4::kPvi},
        {"tsc", cr4::kTsd},
        {"de", cr4::kDe},
        {"pse", cr4::kPse},
        {"pae", cr4::kPae},
        {"mce", cr4::kMce},
        {"pge", cr4::kPge},
        {"mmx", cr4::kPce},
        {"fxsr", cr4::kOsfxsr},
        {"sse", cr4::kOsxmmexcpt},
        {"umip", cr4::kUmip},
        {"fsgsbase", cr4::kFsgsbase},
        {"pcid", cr4::kPcide},
        {"xsave", cr4::kOsxsave},
        {"smep", cr4::kSmep},
        {"smap", cr4::kSmap},
    };
    for (const Bit& b : kBits) {
        if (has(b.feature)) valid_cr4_ |= b.bits;
    }
    valid_efer_ = (has("syscall") ? efer::kSce : 0) | (has("lm") ? efer::kLme | efer::kLma : 0) |
                  (has("nx") ? efer::kNxe : 0);
    valid_xcr0_ = !has("xsave") ? 1 : has("avx") ? 7 : 3;
}

void CpuidPolicy::limit_physical_bits(unsigned bits) {
    physical_bits_ = std::min(physical_bits_, bits);
    constexpr uint32_t kAddressSizes = 0x80000008, kPhysicalBits = 0xff;
    for (Entry& entry : entries_)
        if (entry.leaf == kAddressSizes)
            entry.value.eax = (entry.value.eax & ~kPhysicalBits) | physical_bits_;
}

}  // namespace mynah
