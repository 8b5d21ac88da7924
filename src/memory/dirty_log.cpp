#include "memory/dirty_log.h"

#include <bit>

#include "base/check.h"

namespace mynah {
namespace {
constexpr unsigned kWordBits = 64;
}

DirtyLog::DirtyLog(GuestMemory& memory, const GuestMemory::Block& block)
    : memory_(memory),
      first_(memory.watch().page_of(block.host)),
      pages_(block.size / kPageSize),
      dirty_((pages_ + kWordBits - 1) / kWordBits) {
    for (uint64_t page = 0; page < pages_; ++page)
        dirty_[page / kWordBits] |= uint64_t{1} << page % kWordBits;
    for (auto& words : recent_) words.resize(dirty_.size());
    index_ = memory_.watch().add(*this);
}

DirtyLog::~DirtyLog() { memory_.watch().remove(*this); }

// Further writes are free until the next look.
void DirtyLog::written(uint64_t page, unsigned, unsigned) {
    const uint64_t own = page - first_;
    if (own >= pages_) return;  // the mark is shared with another listener
    memory_.watch().unwatch(page, index_);
    dirty_[own / kWordBits].fetch_or(uint64_t{1} << own % kWordBits);
}

void DirtyLog::collect(std::span<uint64_t> bits) {
    CHECK(bits.size() >= dirty_.size());
    memory_.watch().harvest();
    bool taken_away = false;
    for (size_t word = 0; word < dirty_.size(); ++word) {
        const uint64_t now = dirty_[word].exchange(0);
        for (uint64_t left = now; left != 0; left &= left - 1) {
            memory_.watch().watch(
                first_ + word * kWordBits + static_cast<unsigned>(std::countr_zero(left)), index_);
            taken_away = true;
        }
        bits[word] = now;
        for (auto& words : recent_) bits[word] |= words[word];
        for (unsigned i = kRepeats - 1; i > 0; --i) recent_[i][word] = recent_[i - 1][word];
        recent_[0][word] = now;
    }
    if (taken_away) memory_.forget_translations();
}

}  // namespace mynah
