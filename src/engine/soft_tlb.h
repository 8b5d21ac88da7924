#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace mynah {

// A vCPU's cache of translations from linear pages to host memory. Direct-mapped, one set for
// each combination of privilege and SMAP override. A tag is the linear page with an address-space
// number in its low 12 bits; changing the number forgets everything at once, and going back to an
// earlier number (PCID) finds its entries again.
//
// The tag of an access of n bytes at `linear` is taken from its last byte, while the slot is taken
// from its first: an access that crosses a page never hits.
class SoftTlb {
  public:
    enum Set : unsigned { kUser, kSupervisor, kSupervisorSmapOff, kSetCount };
    static constexpr unsigned kSlots = 1024;
    static constexpr uint64_t kNoTag = ~uint64_t{0};

    struct Entry {
        uint64_t read_tag =
            kNoTag;  // never matches a canonical page: address-space numbers end at 0xffe
        uint64_t write_tag = kNoTag;
        uint64_t execute_tag = kNoTag;
        uintptr_t addend = 0;  // host address = linear + addend
    };

    SoftTlb();

    Entry& slot(Set set, uint64_t linear) { return sets_[set][(linear >> 12) & (kSlots - 1)]; }
    uint64_t asid() const { return asid_; }
    static uint64_t tag(uint64_t linear, uint64_t asid) {
        return (linear & ~uint64_t{0xfff}) | asid;
    }

    // Called when a translation from a page larger than 4 KiB is put in.
    void note_large_page(uint64_t linear, unsigned page_shift);

    void flush_all();                  // every entry of every address space
    void flush_page(uint64_t linear);  // INVLPG: the page, large or not, in every address space
    // MOV CR3: continues with the address space of this PCID; flush: its entries are forgotten.
    void switch_pcid(uint16_t pcid, bool flush);
    // Stores to this linear page no longer hit, so that they are seen.
    void forget_writes(uint64_t host_page);

  private:
    uint64_t new_asid();

    using Slots = std::array<Entry, kSlots>;
    std::unique_ptr<Slots[]> sets_;
    uint64_t asid_ = 0;
    uint64_t next_asid_ = 1;
    struct PcidTag {
        uint16_t pcid;
        uint16_t asid;
        bool valid = false;
    };
    std::array<PcidTag, 8> pcids_{};
    unsigned next_pcid_ = 0;
    std::array<uint64_t, 64> large_regions_{};  // bloom filter over linear >> 21 and >> 30
    bool huge_pages_ = false;
};

}  // namespace mynah
