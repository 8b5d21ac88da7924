#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cpu/cpu_choice.h"
#include "cpu/cpuid_features.h"

namespace mynah {

struct CpuidLeaf {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

struct CpuTopology {
    uint32_t sockets = 1, cores = 1, threads = 1;
    uint32_t vcpus() const { return sockets * cores * threads; }
};

// Answers CPUID for one machine. A model is a named set of features; what the host's silicon
// cannot do or the engine does not implement is taken away from it.
class CpuidPolicy {
  public:
    // `text` is the value of --cpu; see choose_cpu().
    // tsc_hz: frequency of the guest's TSC, told by leaf 15h.
    static Result<CpuidPolicy> create(std::string_view text, CpuTopology topology, uint64_t tsc_hz);

    static std::vector<std::string> model_names();

    // leaf EAX, subleaf ECX for the processor with this APIC id. osxsave, apic_enabled and xcr0 are
    // the bits of CPUID that mirror CR4, IA32_APIC_BASE and XCR0.
    struct Dynamic {
        uint32_t apic_id;
        bool osxsave;
        bool apic_enabled;
        uint64_t xcr0;
    };
    CpuidLeaf query(uint32_t leaf, uint32_t subleaf, const Dynamic& dynamic) const;

    // Whether the guest sees a feature, by the name --cpu uses ("avx2", "fsgsbase").
    bool has(std::string_view feature) const;

    // What was asked for, where that is more than what can be had.
    const CpuChoice& choice() const { return choice_; }

    unsigned physical_bits() const { return physical_bits_; }
    // Fewer physical address bits than there could be; before anybody asks.
    void limit_physical_bits(unsigned bits);
    uint64_t valid_cr4() const { return valid_cr4_; }  // CR4 bits that may be set
    uint64_t valid_efer() const { return valid_efer_; }
    uint64_t valid_xcr0() const { return valid_xcr0_; }  // 1 if there is no XSAVE
    uint32_t valid_mxcsr() const { return 0xffff; }
    uint32_t signature() const { return signature_; }  // leaf 1 EAX; also RDX after reset
    CpuTopology topology() const { return topology_; }

    // The guest finds this hypervisor (12 characters) at leaf 40000000h, with leaves of its own;
    // again: with other values. Before anybody asks; CHECKs that the guest sees "hypervisor".
    struct HypervisorLeaf {
        uint32_t leaf;
        CpuidLeaf value;
    };
    void present_hypervisor(std::string_view signature,
                            std::initializer_list<HypervisorLeaf> leaves);

    // Frequency of the crystal that leaf 15h tells, in Hz. Guests take it for the frequency that
    // drives the local APIC's timer, so that timer must run with it.
    uint64_t apic_timer_hz() const;
    // APIC id of a processor by its number: thread, core and socket fields padded to powers of two.
    uint32_t apic_id(uint32_t vcpu) const;

  private:
    // The leaves with the static content, in registers as CPUID returns them.
    struct Entry {
        uint32_t leaf, subleaf;
        CpuidLeaf value;
    };
    // Crystal * numerator / denominator is the TSC's frequency [SDM 2A CPUID leaf 15h].
    struct TscRatio {
        uint32_t denominator = 1, numerator = 0;
    };

    CpuidPolicy() = default;
    void put(uint32_t leaf, uint32_t subleaf, CpuidLeaf value) {
        entries_.push_back({leaf, subleaf, value});
    }
    uint32_t word(FeatureWord word) const { return features_[static_cast<unsigned>(word)]; }
    void fill_valid_bits();
    void fill_basic_leaves();
    void fill_cache_leaves();
    void fill_state_leaves();
    void fill_frequency_leaves(uint64_t tsc_hz);
    void fill_hypervisor_leaves(uint64_t tsc_hz);
    void fill_extended_leaves(std::string_view brand);
    CpuidLeaf topology_leaf(uint32_t subleaf, uint32_t apic_id) const;
    static TscRatio ratio_for(uint64_t tsc_hz);

    std::vector<Entry> entries_;
    CpuChoice choice_;
    FeatureSet features_{};
    CpuTopology topology_;
    uint32_t signature_ = 0;
    uint64_t valid_cr4_ = 0, valid_efer_ = 0, valid_xcr0_ = 1;
    unsigned physical_bits_ = 46;
    unsigned thread_bits_ = 0;  // width of the thread field of an APIC id
    unsigned core_bits_ = 0;
};

}  // namespace mynah
