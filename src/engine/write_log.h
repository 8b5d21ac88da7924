#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/soft_tlb.h"
#include "memory/address.h"

namespace mynah {

// What a vCPU's stores do to memory during a trial, so that they can be undone, done again by
// another engine, and compared. For hunting bugs: it keeps whole pages.
//
// Pages are kept as they are when the trial begins (those written lately) or before the first store
// to them. No other page may have a write tag in the TLB, so that the first store is seen: whoever
// fills the TLB asks admits(). What other threads write to the same pages meanwhile is taken for the
// vCPU's.
class WriteLog {
  public:
    // --- for whoever fills the TLB ---
    // Whether stores to the page may go unseen from now on.
    bool admits(std::byte* page, bool is_store);
    // The entry got a write tag for the page.
    void note_entry(const std::byte* page, SoftTlb::Entry& entry, unsigned index);
    // Around a walk of the guest's page tables, whose accessed and dirty bits are not stores.
    void before_walk();
    void after_walk();

    // --- a trial ---
    void begin();
    // Keeps what was stored so far, to compare with, and puts back what was there before.
    void undo();
    // What memory holds now, against what it held before undo(); empty if there is no difference.
    std::string differences();
    void end() { active_ = false; }
    // For another trial from the same start: puts back what was there before. The bytes in which the
    // two differed may be the work of another thread: give_back() makes them so again, once the
    // trial has shown that they were not the vCPU's.
    void start_over();
    void give_back();

  private:
    using Bytes = std::array<std::byte, kPageSize>;
    struct Page {
        std::byte* host = nullptr;
        Bytes before, after, at_walk;
        unsigned idle = 0;  // trials in a row that did not write to it
        struct Tagged {
            SoftTlb::Entry* entry;
            unsigned index;
        };
        std::vector<Tagged> tagged;  // entries that got a write tag for it
        struct Walked {
            unsigned offset;
            std::byte bits;
        };
        std::vector<Walked> walked;  // set by walks before undo()
    };
    // How many pages stay admitted from one trial to the next, and for how many without a store.
    static constexpr size_t kKept = 4;
    static constexpr unsigned kMostIdle = 8;

    Page* find(const std::byte* host) const;
    void forget(Page& page);

    struct Foreign {
        std::byte* at;
        std::byte before, value;
    };

    bool active_ = false, undone_ = false;
    std::vector<Foreign> foreign_;
    std::vector<std::unique_ptr<Page>> pages_;  // oldest first
};

}  // namespace mynah
