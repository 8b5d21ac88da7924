#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mynah {

// A vCPU's cache of translations from linear pages to host memory. Direct-mapped tables, one for
// each combination of privilege and SMAP override; those that hold user pages exist once for each
// of the address spaces (PCIDs) used last, so that going back to one finds its entries again. The
// supervisor's is shared by all: what is not global in it is dropped when the space changes.
//
// An access of n bytes at `linear` hits if (linear ^ tag) <= 4096 - n, which is then its offset in
// the page: tags are linear pages, and one that stands for nothing belongs to another slot.
class SoftTlb {
  public:
    enum Set : unsigned { kUser, kSupervisor, kSupervisorSmapOff, kSetCount };
    static constexpr unsigned kSlots = 4096;

    struct Entry {
        uint64_t read_tag;
        uint64_t write_tag;
        uint64_t execute_tag;
        uintptr_t host;  // the page
    };
    struct Table {
        std::array<Entry, kSlots> entries;
        // For engines: what is known of the code of an executable page; 0 when the entry is new.
        std::array<uint32_t, kSlots> code_ids;

        Table() { clear(); }
        void clear();

        static constexpr unsigned kLogged = 256;
        std::array<uint16_t, kLogged> log;  // slots filled since the last clear
        unsigned filled = kLogged + 1;
    };

    // Of Table::code_ids, for emitted code.
    static constexpr size_t kCodeIdsOffset = kSlots * sizeof(Entry);

    SoftTlb();

    static unsigned index(uint64_t linear) {
        return static_cast<unsigned>(linear >> 12) & (kSlots - 1);
    }
    static uint64_t no_tag(unsigned index) { return uint64_t{index ^ 1u} << 12; }

    // Of the current address space; valid until switch_pcid() or flush_all().
    Table& table(Set set) { return *current_[set]; }
    Entry& slot(Set set, uint64_t linear) { return table(set).entries[index(linear)]; }

    struct Page {
        uint64_t linear;
        uintptr_t host;
        bool readable, writable, executable, global;
        unsigned page_shift;  // of the guest's mapping
    };
    void fill(Set set, const Page& page);

    void flush_all();                  // every entry of every address space
    void flush_page(uint64_t linear);  // INVLPG: the page, large or not, in every address space
    // MOV CR3: continues with the address space of this PCID; flush: its entries are forgotten.
    void switch_pcid(uint16_t pcid, bool flush);
    void forget_code();  // all code_ids
    // Changes whenever an entry may have lost a right, or another address space came.
    uint64_t generation() const { return generation_; }
    // Stores to this page no longer hit, so that they are seen.
    void forget_writes(uintptr_t host_page);

  private:
    struct Space {
        uint16_t pcid = 0;
        bool valid = false;
        std::unique_ptr<Table> user, smap_off;
    };
    // Which large pages there are: one for each half of the address space.
    struct LargePages {
        std::array<uint64_t, 64> regions{};  // bloom filter over linear >> 21
        bool huge = false;
    };

    void use(Space& space);
    void drop_not_global();
    template <class Visit>
    void each_table(Visit visit);
    void note_large_page(uint64_t linear, unsigned page_shift);
    LargePages& large_pages(uint64_t linear) { return large_pages_[linear >> 63]; }

    uint64_t generation_ = 0;
    std::array<Space, 8> spaces_;
    unsigned next_space_ = 0;
    std::unique_ptr<Table> supervisor_;
    std::array<Table*, kSetCount> current_{};
    std::vector<uint16_t> not_global_;         // slots of supervisor_
    std::array<LargePages, 2> large_pages_;
    // Where a host page has its write tags, by a hash of its address. Whatever finds no place
    // here loses its tag, so that none is ever unknown.
    struct Writer {
        uintptr_t host = 0;
        std::array<Table*, 3> tables{};
        std::array<uint16_t, 3> slots{};
        uint16_t next = 0;  // of the three, to be replaced
    };
    static constexpr unsigned kWriters = 8192;
    static unsigned writer_index(uintptr_t host) { return (host >> 12) & (kWriters - 1); }
    void note_writer(uintptr_t host, Table& in, unsigned slot);
    static void forget(Writer& writer);
    std::vector<Writer> writers_;
};

}  // namespace mynah
