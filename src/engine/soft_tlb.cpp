#include "engine/soft_tlb.h"

namespace mynah {
namespace {

constexpr uint64_t kLastAsid = 0xffe;
constexpr unsigned kLargeShift = 21, kHugeShift = 30;

unsigned bloom_bit(uint64_t linear) {
    return static_cast<unsigned>(((linear >> kLargeShift) * 0x9e3779b97f4a7c15u) >> 52);
}

void drop(SoftTlb::Entry& entry) {
    entry.read_tag = entry.write_tag = entry.execute_tag = SoftTlb::kNoTag;
}

}  // namespace

SoftTlb::SoftTlb() : sets_(new Slots[kSetCount]) { asid_ = new_asid(); }

uint64_t SoftTlb::new_asid() {
    if (next_asid_ > kLastAsid) {
        // The numbers are used up: entries of old address spaces must not come back to life.
        for (unsigned set = 0; set < kSetCount; ++set) sets_[set].fill(Entry{});
        for (PcidTag& tag : pcids_) tag.valid = false;
        large_regions_.fill(0);
        huge_pages_ = false;
        next_asid_ = 1;
    }
    return next_asid_++;
}

void SoftTlb::note_large_page(uint64_t linear, unsigned page_shift) {
    if (page_shift >= kHugeShift) {
        huge_pages_ = true;
        return;
    }
    const unsigned position = bloom_bit(linear);
    large_regions_[position / 64] |= uint64_t{1} << (position % 64);
    if (page_shift > kLargeShift) {  // 4 MiB pages are two regions
        const unsigned other = bloom_bit(linear ^ (uint64_t{1} << kLargeShift));
        large_regions_[other / 64] |= uint64_t{1} << (other % 64);
    }
}

void SoftTlb::flush_all() {
    for (PcidTag& tag : pcids_) tag.valid = false;
    asid_ = new_asid();
}

void SoftTlb::flush_page(uint64_t linear) {
    const unsigned position = bloom_bit(linear);
    const bool large = huge_pages_ || ((large_regions_[position / 64] >> (position % 64)) & 1) != 0;
    if (!large) {
        for (unsigned set = 0; set < kSetCount; ++set) drop(slot(static_cast<Set>(set), linear));
        return;
    }
    // The page may have been put in piece by piece: drop whatever lies within the largest page
    // that can be meant.
    const unsigned shift = huge_pages_ ? kHugeShift : kLargeShift + 1;
    for (unsigned set = 0; set < kSetCount; ++set) {
        for (Entry& entry : sets_[set]) {
            const auto within = [&](uint64_t tag) { return (tag ^ linear) >> shift == 0; };
            if (within(entry.read_tag) || within(entry.write_tag) || within(entry.execute_tag))
                drop(entry);
        }
    }
}

void SoftTlb::switch_pcid(uint16_t pcid, bool flush) {
    PcidTag* found = nullptr;
    for (PcidTag& tag : pcids_) {
        if (tag.valid && tag.pcid == pcid) found = &tag;
    }
    if (found != nullptr && !flush) {
        asid_ = found->asid;
        return;
    }
    const uint64_t asid = new_asid();  // may invalidate all of pcids_
    if (found == nullptr) {
        found = &pcids_[next_pcid_];
        next_pcid_ = (next_pcid_ + 1) % pcids_.size();
    }
    *found = {.pcid = pcid, .asid = static_cast<uint16_t>(asid), .valid = true};
    asid_ = asid;
}

void SoftTlb::forget_writes(uint64_t host_page) {
    for (unsigned set = 0; set < kSetCount; ++set) {
        for (Entry& entry : sets_[set]) {
            if (entry.write_tag == kNoTag) continue;
            const uint64_t linear_page = entry.write_tag & ~uint64_t{0xfff};
            if (linear_page + entry.addend == host_page) entry.write_tag = kNoTag;
        }
    }
}

}  // namespace mynah
