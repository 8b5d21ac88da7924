#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "memory/dirty_pages.h"
#include "memory/guest_memory.h"

namespace mynah {

// DirtyPages by WriteWatch: the first write to a page since the last look is seen and noted, the
// following ones cost nothing. Costs nothing at all while nobody looks.
class DirtyLog final : public DirtyPages, private WriteWatch::Listener {
  public:
    // Memory must outlive it; made before the machine runs, gone when it no longer does.
    DirtyLog(GuestMemory& memory, const GuestMemory::Block& block);
    ~DirtyLog();

    void collect(std::span<uint64_t> bits) override;

  private:
    void written(uint64_t page, unsigned begin, unsigned end) override;

    GuestMemory& memory_;
    const uint64_t first_, pages_;  // as WriteWatch counts
    unsigned index_ = 0;
    std::vector<std::atomic<uint64_t>> dirty_;
    // Reported lately. A processor may be between its check of the TLB and its write when the
    // right to write is taken away, so what was dirty is reported a few times more.
    static constexpr unsigned kRepeats = 2;
    std::vector<uint64_t> recent_[kRepeats];
};

}  // namespace mynah
