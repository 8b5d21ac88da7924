#include "cpu/mmu.h"

#include <atomic>
#include <cstring>

#include "base/bits.h"
#include "spec/x86/paging.h"

namespace mynah {
namespace {

namespace entry = x86::page_entry;

// Bits of an entry's address field, before MAXPHYADDR is considered.
constexpr uint64_t kAddressField = 0x000ffffffffff000;
constexpr uint64_t kAddressField32 = 0xfffff000;

// One paging-structure entry as the walk found it.
struct Step {
    std::byte* host;  // null: outside RAM, reads as all ones and is never written
    uint64_t value;
};

// Where a walk ended.
struct Leaf {
    uint64_t frame = 0;       // physical address of the (large) page
    uint64_t rights = 0;      // kWritable and kUser of all levels, and-ed
    bool no_execute = false;  // any level
    uint8_t shift = 12;
    unsigned steps = 0;
    Step step[4];

    const Step& last() const { return step[steps - 1]; }
};

enum class WalkEnd { kMapped, kNotPresent, kReserved };

// Where page tables are read from.
struct Tables {
    const GuestMemory& memory;
    MemoryView view;
};

template <typename Entry>
bool add_step(const Tables& tables, uint64_t address, Leaf& leaf) {
    const auto run = tables.memory.find(GuestPhys(address), sizeof(Entry), tables.view);
    std::byte* host = run && run->size == sizeof(Entry) ? run->host : nullptr;
    // Aligned entries are read in one piece, as another vCPU may be writing them.
    const Entry value = host == nullptr ? static_cast<Entry>(~Entry{0})
                                        : std::atomic_ref<Entry>(*reinterpret_cast<Entry*>(host))
                                              .load(std::memory_order_relaxed);
    leaf.step[leaf.steps++] = {.host = run && run->writable ? host : nullptr, .value = value};
    leaf.rights &= value;
    return (value & entry::kPresent) != 0;
}

// What is reserved in every entry of 8 bytes.
uint64_t reserved_always(const CpuState& state, unsigned physical_bits, bool four_level) {
    // Bits 62:52 are ignored by 4-level paging and reserved by PAE [SDM 3A tables 4-9 to 4-20].
    uint64_t reserved = low_mask(four_level ? 52 : 63) & ~low_mask(physical_bits);
    if ((state.efer & x86::efer::kNxe) == 0) reserved |= entry::kNoExecute;
    return reserved;
}

// The levels below a page-directory-pointer table, and with 4-level paging that one and the PML4.
WalkEnd walk_wide(const Tables& tables, uint64_t linear, uint64_t table, uint8_t top_shift,
                  uint64_t reserved, bool gigabyte_pages, Leaf& leaf) {
    leaf.rights = entry::kWritable | entry::kUser;
    for (uint8_t shift = top_shift;; shift = static_cast<uint8_t>(shift - 9)) {
        const uint64_t index = (linear >> shift) & 0x1ff;
        if (!add_step<uint64_t>(tables, table + index * 8, leaf)) return WalkEnd::kNotPresent;
        const uint64_t value = leaf.last().value;
        if ((value & reserved) != 0) return WalkEnd::kReserved;
        leaf.no_execute |= (value & entry::kNoExecute) != 0;
        const bool large = (value & entry::kLarge) != 0;
        if (shift == 12 || (large && shift == 21) || (large && shift == 30 && gigabyte_pages)) {
            // Below a large page's frame lies bit 12, its PAT bit; the others are reserved.
            if (shift != 12 && (value & low_mask(shift) & ~low_mask(13)) != 0)
                return WalkEnd::kReserved;
            leaf.frame = value & kAddressField & ~low_mask(shift);
            leaf.shift = shift;
            return WalkEnd::kMapped;
        }
        if (large) return WalkEnd::kReserved;  // PML4E, or PDPTE without 1-GByte pages
        table = value & kAddressField;
    }
}

WalkEnd walk_32(const CpuState& state, const Tables& tables, uint64_t linear,
                unsigned physical_bits, Leaf& leaf) {
    leaf.rights = entry::kWritable | entry::kUser;
    const uint64_t directory = state.cr3 & kAddressField32;
    if (!add_step<uint32_t>(tables, directory + ((linear >> 22) & 0x3ff) * 4, leaf)) {
        return WalkEnd::kNotPresent;
    }
    const uint64_t pde = leaf.last().value;
    if ((pde & entry::kLarge) != 0 && (state.cr4 & x86::cr4::kPse) != 0) {
        // PSE-36: bits 20:13 are bits 39:32 of the frame as far as MAXPHYADDR goes, the rest up to
        // bit 21 is reserved [SDM 3A table 4-4].
        const unsigned high_bits = physical_bits > 40 ? 8 : physical_bits - 32;
        if ((pde & low_mask(22) & ~low_mask(13 + high_bits)) != 0) return WalkEnd::kReserved;
        leaf.frame = (pde & 0xffc00000) | ((pde >> 13) & low_mask(high_bits)) << 32;
        leaf.shift = 22;
        return WalkEnd::kMapped;
    }
    const uint64_t table = pde & kAddressField32;
    if (!add_step<uint32_t>(tables, table + ((linear >> 12) & 0x3ff) * 4, leaf)) {
        return WalkEnd::kNotPresent;
    }
    leaf.frame = leaf.last().value & kAddressField32;
    return WalkEnd::kMapped;
}

// What a mode may do with a page [SDM 3A 4.6.1].
struct Rights {
    bool read, write, execute;

    bool allows(AccessKind kind) const {
        return kind == AccessKind::kRead ? read : kind == AccessKind::kWrite ? write : execute;
    }
};

Rights rights_of(const CpuState& state, const Leaf& leaf, AccessMode mode) {
    const bool user_page = (leaf.rights & entry::kUser) != 0;
    const bool writable = (leaf.rights & entry::kWritable) != 0;
    if (mode == AccessMode::kUser) {
        return {.read = user_page,
                .write = user_page && writable,
                .execute = user_page && !leaf.no_execute};
    }
    const bool smap_bars = user_page && (state.cr4 & x86::cr4::kSmap) != 0 &&
                           (mode == AccessMode::kImplicit || !state.flags.has(x86::rflags::kAc));
    const bool smep_bars = user_page && (state.cr4 & x86::cr4::kSmep) != 0;
    return {.read = !smap_bars,
            .write = !smap_bars && (writable || (state.cr0 & x86::cr0::kWp) == 0),
            .execute = !smep_bars && !leaf.no_execute};
}

// Sets bits of an entry unless it changed since it was read.
template <typename Entry>
bool set_bits(const Step& step, uint64_t bits) {
    if (step.host == nullptr || (step.value & bits) == bits) return true;
    Entry expected = static_cast<Entry>(step.value);
    return std::atomic_ref<Entry>(*reinterpret_cast<Entry*>(step.host))
        .compare_exchange_strong(expected, static_cast<Entry>(expected | bits));
}

// Accessed bits of all levels, and the dirty bit of the last one. False: an entry changed under
// the walk, which must be done again.
template <typename Entry>
bool mark(const Leaf& leaf, bool dirty) {
    for (unsigned i = 0; i + 1 < leaf.steps; ++i) {
        if (!set_bits<Entry>(leaf.step[i], entry::kAccessed)) return false;
    }
    return set_bits<Entry>(leaf.last(), entry::kAccessed | (dirty ? entry::kDirty : 0));
}

uint32_t error_code(const CpuState& state, AccessKind kind, AccessMode mode, WalkEnd end) {
    namespace pf = x86::page_fault;
    uint32_t code = 0;
    if (end != WalkEnd::kNotPresent) code |= pf::kPresent;
    if (end == WalkEnd::kReserved) code |= pf::kReserved;
    if (kind == AccessKind::kWrite) code |= pf::kWrite;
    if (mode == AccessMode::kUser) code |= pf::kUser;
    // I/D is told only when fetches can be told apart at all [SDM 3A 4.7].
    const bool nx = (state.cr4 & x86::cr4::kPae) != 0 && (state.efer & x86::efer::kNxe) != 0;
    if (kind == AccessKind::kExecute && (nx || (state.cr4 & x86::cr4::kSmep) != 0))
        code |= pf::kFetch;
    return code;
}

}  // namespace

std::variant<Translation, Exception> Mmu::translate(const CpuState& state, uint64_t linear,
                                                    AccessKind kind, AccessMode mode) {
    if (!state.paging()) {
        return Translation{.page = GuestPhys(linear & ~kPageMask),
                           .writable = true,
                           .executable = true,
                           .readable = true,
                           .user = true,
                           .global = false,
                           .page_shift = 12};
    }
    const bool wide = (state.cr4 & x86::cr4::kPae) != 0;
    const Tables tables{memory_, state.memory_view()};
    for (;;) {
        Leaf leaf;
        WalkEnd end;
        if (state.long_mode()) {
            end = walk_wide(tables, linear, state.cr3 & low_mask(physical_bits_) & ~kPageMask, 39,
                            reserved_always(state, physical_bits_, true), gigabyte_pages_, leaf);
        } else if (wide) {
            const uint64_t pdpte = state.pdpte[(linear >> 30) & 3];
            end = (pdpte & entry::kPresent) == 0
                      ? WalkEnd::kNotPresent
                      : walk_wide(tables, linear, pdpte & kAddressField, 21,
                                  reserved_always(state, physical_bits_, false), false, leaf);
        } else {
            end = walk_32(state, tables, linear, physical_bits_, leaf);
        }
        if (end != WalkEnd::kMapped) {
            return Exception::pf(linear, error_code(state, kind, mode, end));
        }
        const Rights rights = rights_of(state, leaf, mode);
        if (!rights.allows(kind)) return Exception::pf(linear, error_code(state, kind, mode, end));

        const bool dirty = kind == AccessKind::kWrite;
        if (!(wide ? mark<uint64_t>(leaf, dirty) : mark<uint32_t>(leaf, dirty))) continue;

        const bool is_dirty = dirty || (leaf.last().value & entry::kDirty) != 0;
        return Translation{
            .page = GuestPhys(leaf.frame | (linear & low_mask(leaf.shift) & ~kPageMask)),
            .writable = rights.write && is_dirty,
            .executable = rights.execute,
            .readable = rights.read,
            .user = (leaf.rights & entry::kUser) != 0,
            .global =
                (leaf.last().value & entry::kGlobal) != 0 && (state.cr4 & x86::cr4::kPge) != 0,
            .page_shift = leaf.shift,
        };
    }
}

bool Mmu::load_pdptes(CpuState& state, uint64_t cr3) {
    const uint64_t reserved = entry::kPdpteReserved | ~low_mask(physical_bits_);
    const uint64_t table = cr3 & 0xffffffe0;
    std::array<uint64_t, 4> loaded;
    for (unsigned i = 0; i < loaded.size(); ++i) {
        const std::byte* host =
            memory_.host(GuestPhys(table + i * 8), sizeof(uint64_t), state.memory_view());
        loaded[i] = ~uint64_t{0};
        if (host != nullptr) std::memcpy(&loaded[i], host, sizeof(uint64_t));
        if ((loaded[i] & entry::kPresent) != 0 && (loaded[i] & reserved) != 0) return false;
    }
    state.pdpte = loaded;
    return true;
}

}  // namespace mynah
