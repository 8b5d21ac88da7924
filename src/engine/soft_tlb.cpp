#include "engine/soft_tlb.h"

#include <algorithm>

namespace mynah {
namespace {

constexpr unsigned kLargeShift = 21, kHugeShift = 30;

unsigned bloom_bit(uint64_t linear) {
    return static_cast<unsigned>(((linear >> kLargeShift) * 0x9e3779b97f4a7c15u) >> 52);
}

void drop(SoftTlb::Table& table, unsigned index) {
    const uint64_t none = SoftTlb::no_tag(index);
    table.entries[index] = {.read_tag = none, .write_tag = none, .execute_tag = none, .host = 0};
    table.code_ids[index] = 0;
}

}  // namespace

void SoftTlb::Table::clear() {
    if (filled == 0) return;
    if (filled <= kLogged) {
        for (unsigned i = 0; i < filled; ++i) drop(*this, log[i]);
    } else {
        for (unsigned i = 0; i < kSlots; ++i) drop(*this, i);
    }
    filled = 0;
}

SoftTlb::SoftTlb() : supervisor_(new Table), writers_(kWriters) {
    switch_pcid(0, true);
}

template <class Visit>
void SoftTlb::each_table(Visit visit) {
    visit(*supervisor_);
    for (Space& space : spaces_) {
        if (space.user == nullptr) continue;
        visit(*space.user);
        visit(*space.smap_off);
    }
}

void SoftTlb::use(Space& space) {
    if (space.user == nullptr) {
        space.user.reset(new Table);
        space.smap_off.reset(new Table);
    }
    current_ = {space.user.get(), supervisor_.get(), space.smap_off.get()};
}

void SoftTlb::fill(Set set, const Page& page) {
    Table& in = table(set);
    const unsigned i = index(page.linear);
    if (set == kSupervisor && !page.global) {
        // Before the entry is made: whoever asked for it goes on to use it.
        if (not_global_.size() >= 2 * kSlots) drop_not_global();
        not_global_.push_back(static_cast<uint16_t>(i));
    }
    const uint64_t tag = page.linear & ~uint64_t{0xfff}, none = no_tag(i);
    Entry& entry = in.entries[i];
    if (entry.execute_tag != tag || entry.host != page.host || !page.executable) in.code_ids[i] = 0;
    entry = {.read_tag = page.readable ? tag : none,
             .write_tag = page.writable ? tag : none,
             .execute_tag = page.executable ? tag : none,
             .host = page.host};
    if (in.filled < Table::kLogged) in.log[in.filled] = static_cast<uint16_t>(i);
    if (in.filled <= Table::kLogged) ++in.filled;
    if (page.writable) note_writer(page.host, in, i);
    if (page.page_shift > 12) note_large_page(page.linear, page.page_shift);
}

void SoftTlb::drop_not_global() {
    ++generation_;
    // A slot may meanwhile hold a global page; it is found again.
    for (const uint16_t i : not_global_) drop(*supervisor_, i);
    not_global_.clear();
}

void SoftTlb::note_large_page(uint64_t linear, unsigned page_shift) {
    LargePages& pages = large_pages(linear);
    if (page_shift >= kHugeShift) {
        pages.huge = true;
        return;
    }
    const unsigned position = bloom_bit(linear);
    pages.regions[position / 64] |= uint64_t{1} << (position % 64);
    if (page_shift > kLargeShift) {  // 4 MiB pages are two regions
        const unsigned other = bloom_bit(linear ^ (uint64_t{1} << kLargeShift));
        pages.regions[other / 64] |= uint64_t{1} << (other % 64);
    }
}

void SoftTlb::flush_all() {
    ++generation_;
    each_table([](Table& table) { table.clear(); });
    for (Space& space : spaces_) {
        space.valid = space.valid && space.user.get() == current_[kUser];
    }
    not_global_.clear();
    large_pages_ = {};
}

void SoftTlb::flush_page(uint64_t linear) {
    ++generation_;
    const LargePages& pages = large_pages(linear);
    const unsigned position = bloom_bit(linear);
    const bool large =
        pages.huge || ((pages.regions[position / 64] >> (position % 64)) & 1) != 0;
    if (!large) {
        each_table([&](Table& table) { drop(table, index(linear)); });
        return;
    }
    // The page may have been put in piece by piece: drop whatever lies within the largest page
    // that can be meant.
    const unsigned shift = pages.huge ? kHugeShift : kLargeShift + 1;
    each_table([&](Table& table) {
        for (unsigned i = 0; i < kSlots; ++i) {
            const Entry& entry = table.entries[i];
            const auto within = [&](uint64_t tag) { return (tag ^ linear) >> shift == 0; };
            if (within(entry.read_tag) || within(entry.write_tag) || within(entry.execute_tag))
                drop(table, i);
        }
    });
}

void SoftTlb::switch_pcid(uint16_t pcid, bool flush) {
    ++generation_;
    drop_not_global();
    for (Space& space : spaces_) {
        if (!space.valid || space.pcid != pcid) continue;
        if (flush) {
            space.user->clear();
            space.smap_off->clear();
        }
        use(space);
        return;
    }
    Space& space = spaces_[next_space_];
    next_space_ = (next_space_ + 1) % spaces_.size();
    use(space);
    space.pcid = pcid;
    space.valid = true;
    space.user->clear();
    space.smap_off->clear();
}

void SoftTlb::forget_code() {
    each_table([](Table& table) { table.code_ids.fill(0); });
}

void SoftTlb::forget(Writer& writer) {
    for (size_t i = 0; i < writer.tables.size(); ++i) {
        Table* table = writer.tables[i];
        const unsigned slot = writer.slots[i];
        // The slot may long be another page's.
        if (table != nullptr && table->entries[slot].host == writer.host)
            table->entries[slot].write_tag = no_tag(slot);
    }
    writer = {};
}

void SoftTlb::note_writer(uintptr_t host, Table& in, unsigned slot) {
    Writer& writer = writers_[writer_index(host)];
    if (writer.host != host) {
        forget(writer);
        writer.host = host;
    }
    for (size_t i = 0; i < writer.tables.size(); ++i) {
        if (writer.tables[i] == &in && writer.slots[i] == slot) return;
    }
    const size_t place = writer.next;
    writer.next = static_cast<uint16_t>((place + 1) % writer.tables.size());
    if (Table* table = writer.tables[place]; table != nullptr) {
        const unsigned old = writer.slots[place];
        if (table->entries[old].host == host) table->entries[old].write_tag = no_tag(old);
    }
    writer.tables[place] = &in;
    writer.slots[place] = static_cast<uint16_t>(slot);
}

void SoftTlb::forget_writes(uintptr_t host_page) {
    ++generation_;
    if (Writer& writer = writers_[writer_index(host_page)]; writer.host == host_page) {
        forget(writer);
    }
}

}  // namespace mynah
