#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

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
    // `text` is the value of --cpu: MODEL[,+feature,-feature...]. Error: unknown model or feature
    // (with the nearest known name), or a feature asked for by + that cannot be had.
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

    unsigned physical_bits() const { return physical_bits_; }
    uint64_t valid_cr4() const;   // CR4 bits that may be set
    uint64_t valid_efer() const;
    uint64_t valid_xcr0() const;  // 1 if there is no XSAVE
    uint32_t valid_mxcsr() const { return 0xffff; }
    uint32_t signature() const;   // leaf 1 EAX; also RDX after reset
    CpuTopology topology() const { return topology_; }

 private:
    // The leaves with the static content, in registers as CPUID returns them.
    struct Entry {
        uint32_t leaf, subleaf;
        CpuidLeaf value;
    };
    std::vector<Entry> entries_;
    CpuTopology topology_;
    unsigned physical_bits_ = 46;
};

}  // namespace mynah
