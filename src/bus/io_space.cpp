#include "bus/io_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/bits.h"
#include "base/check.h"

namespace mynah {

struct IoSpace::Range {
    uint64_t start;
    uint64_t last;  // inclusive, so that a range may end at the top of the address space
    IoHandler* handler;
    std::string name;
};

// Sorted by start; ranges do not overlap.
struct IoSpace::Table {
    std::vector<Range> ranges;

    // The range that holds the address; null if nobody is there.
    const Range* find(uint64_t address) const {
        auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                      [](uint64_t a, const Range& r) { return a < r.start; });
        if (after == ranges.begin()) return nullptr;
        const Range& range = *std::prev(after);
        return address <= range.last ? &range : nullptr;
    }
};

IoSpace::IoSpace() : table_(std::make_unique<Table>()) {}
IoSpace::~IoSpace() = default;

Result<void> IoSpace::add(std::string name, uint64_t start, uint64_t size, IoHandler& handler) {
    CHECK(size > 0 && start + (size - 1) >= start);
    const uint64_t last = start + (size - 1);
    std::vector<Range>& ranges = table_->ranges;
    auto after = std::lower_bound(ranges.begin(), ranges.end(), start,
                                  [](const Range& r, uint64_t a) { return r.start < a; });
    const Range* clash = nullptr;
    if (after != ranges.end() && after->start <= last) clash = &*after;
    if (after != ranges.begin() && std::prev(after)->last >= start) clash = &*std::prev(after);
    if (clash != nullptr) {
        return Error(fmt::format("{} at {:#x}-{:#x} overlaps {} at {:#x}-{:#x}", name, start, last,
                                 clash->name, clash->start, clash->last));
    }
    ranges.insert(after, Range{start, last, &handler, std::move(name)});
    return {};
}

uint64_t IoSpace::read(uint64_t address, unsigned size) {
    const Range* range = table_->find(address);
    const uint64_t end = address + (size - 1);
    if (range != nullptr && end >= address && end <= range->last) [[likely]] {
        return range->handler->read(address - range->start, size) & low_mask(8 * size);
    }
    if (size == 1) return 0xff;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= read(address + i, 1) << (8 * i);
    return value;
}

void IoSpace::write(uint64_t address, unsigned size, uint64_t value) {
    const Range* range = table_->find(address);
    const uint64_t end = address + (size - 1);
    if (range != nullptr && end >= address && end <= range->last) [[likely]] {
        range->handler->write(address - range->start, size, value & low_mask(8 * size));
        return;
    }
    if (size == 1) return;
    for (unsigned i = 0; i < size; ++i) write(address + i, 1, (value >> (8 * i)) & 0xff);
}

}  // namespace mynah
