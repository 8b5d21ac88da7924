#pragma once

#include <cstdint>
#include <variant>

#include "cpu/cpu_state.h"
#include "cpu/exception.h"
#include "memory/guest_memory.h"

namespace mynah {

enum class AccessKind : uint8_t { kRead, kWrite, kExecute };

// Who makes an access. kImplicit: the processor itself for descriptor tables and TSS, which is a
// supervisor access at any CPL, and SMAP cannot be lifted for it by AC [SDM 3A 4.6.1].
enum class AccessMode : uint8_t { kUser, kSupervisor, kImplicit };

// Where a linear page is, and what the mapping allows besides the access that was asked for.
struct Translation {
    GuestPhys page;      // 4 KiB page, aligned, also inside a large page
    bool writable;       // by the same mode, and the dirty bit is already set
    bool executable;     // by the same mode
    bool readable;       // by the same mode (false for SMAP-protected pages fetched for execute)
    bool user;           // U/S of the whole walk
    bool global;         // G of the leaf and CR4.PGE
    uint8_t page_shift;  // 12, 21, 22 or 30; 12 without paging
};

// Walks the guest's page tables: no paging, 32-bit, PAE, 4-level [SDM 3A 4.3 to 4.5].
// Accessed and dirty bits are set with a locked compare-exchange, as other vCPUs may do the same.
// Paging structures outside RAM read as all ones.
class Mmu {
  public:
    // physical_bits: MAXPHYADDR; higher bits of entries are reserved. gigabyte_pages: whether
    // CPUID offers them; otherwise bit 7 of a PDPTE is reserved too.
    Mmu(GuestMemory& memory, unsigned physical_bits, bool gigabyte_pages = true)
        : memory_(memory), physical_bits_(physical_bits), gigabyte_pages_(gigabyte_pages) {}

    // `linear` must be canonical for the current mode (checked by the caller: that is #GP or #SS).
    // A fault has the error code of the access; nothing but A bits was changed.
    std::variant<Translation, Exception> translate(const CpuState& state, uint64_t linear,
                                                   AccessKind kind, AccessMode mode);

    // The PAE page-directory-pointer registers that CR3 points at [SDM 3A 4.4.1]; false if a
    // present entry has a reserved bit set (#GP for the instruction that loads them).
    bool load_pdptes(CpuState& state, uint64_t cr3);

    unsigned physical_bits() const { return physical_bits_; }

  private:
    GuestMemory& memory_;
    unsigned physical_bits_;
    bool gigabyte_pages_;
};

}  // namespace mynah
