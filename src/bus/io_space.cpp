#include "bus/io_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
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
    // One that has something of these; null: none.
    const Range* first_in(uint64_t start, uint64_t last) const {
        const auto found = std::find_if(ranges.begin(), ranges.end(), [&](const Range& r) {
            return r.start <= last && start <= r.last;
        });
        return found == ranges.end() ? nullptr : &*found;
    }
};

IoSpace::IoSpace() : table_(std::make_unique<Table>()) {}
IoSpace::~IoSpace() = default;

Result<void> IoSpace::add(std::string name, uint64_t start, uint64_t size, IoHandler& handler,
                          std::span<const Bell> bells) {
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
    if (listener_ != nullptr && !bells.empty())
        listener_->bells_placed(kind_, start, handler, bells);
    return {};
}

void IoSpace::place(uint64_t start, uint64_t size, IoHandler& handler,
                    std::span<const Bell> bells) {
    CHECK(size > 0 && start + (size - 1) >= start);
    const bool heard = listener_ != nullptr && !bells.empty();
    if (heard) listener_->bells_withdrawn(handler);
    bool alone = true;
    {
        MutexLock lock(mutex_);
        auto& calls = calls_[&handler];
        if (calls == nullptr) calls = std::make_unique<std::atomic<uint32_t>>(0);
        const Placed placed{start, start + (size - 1), &handler, calls.get()};
        const auto is_it = [&](const Placed& other) { return other.handler == &handler; };
        const auto found = std::find_if(placed_.begin(), placed_.end(), is_it);
        if (found != placed_.end()) {
            *found = placed;
        } else {
            placed_.push_back(placed);
        }
        any_placed_.store(true, std::memory_order_release);
        // Where another one answers, its bells would be answered for it.
        alone = std::none_of(placed_.begin(), placed_.end(), [&](const Placed& other) {
            return other.handler != &handler && other.start <= placed.last &&
                   placed.start <= other.last;
        });
    }
    if (heard && alone && table_->first_in(start, start + (size - 1)) == nullptr)
        listener_->bells_placed(kind_, start, handler, bells);
}

void IoSpace::remove(IoHandler& handler) {
    MutexLock lock(mutex_);
    std::erase_if(placed_, [&](const Placed& placed) { return placed.handler == &handler; });
}

void IoSpace::withdraw(IoHandler& handler) {
    remove(handler);
    if (listener_ != nullptr) listener_->bells_withdrawn(handler);
}

void IoSpace::forget(IoHandler& handler) {
    remove(handler);
    if (listener_ != nullptr) listener_->bells_forgotten(handler);
    for (;;) {
        {
            MutexLock lock(mutex_);
            const auto found = calls_.find(&handler);
            if (found == calls_.end()) return;
            if (found->second->load(std::memory_order_acquire) == 0) {
                calls_.erase(found);
                return;
            }
        }
        std::this_thread::yield();  // a call lasts microseconds
    }
}

// The lock is let go before the handler is called: it may move ranges, its own among them.
IoSpace::Found IoSpace::find(uint64_t address) {
    if (const Range* range = table_->find(address)) {
        return {range->handler, range->start, range->last};
    }
    if (!any_placed_.load(std::memory_order_acquire)) return {};
    MutexLock lock(mutex_);
    for (const Placed& placed : placed_) {
        if (address >= placed.start && address <= placed.last) {
            placed.calls->fetch_add(1, std::memory_order_relaxed);
            return {placed.handler, placed.start, placed.last, placed.calls};
        }
    }
    return {};
}

uint64_t IoSpace::read(uint64_t address, unsigned size) {
    const Found found = find(address);
    const uint64_t end = address + (size - 1);
    if (found.handler != nullptr && end >= address && end <= found.last) [[likely]] {
        const uint64_t value = found.handler->read(address - found.start, size);
        if (found.calls != nullptr) found.calls->fetch_sub(1, std::memory_order_release);
        return value & low_mask(8 * size);
    }
    if (found.calls != nullptr) found.calls->fetch_sub(1, std::memory_order_release);
    if (size == 1) return 0xff;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= read(address + i, 1) << (8 * i);
    return value;
}

void IoSpace::write(uint64_t address, unsigned size, uint64_t value) {
    const Found found = find(address);
    const uint64_t end = address + (size - 1);
    if (found.handler != nullptr && end >= address && end <= found.last) [[likely]] {
        found.handler->write(address - found.start, size, value & low_mask(8 * size));
        if (found.calls != nullptr) found.calls->fetch_sub(1, std::memory_order_release);
        return;
    }
    if (found.calls != nullptr) found.calls->fetch_sub(1, std::memory_order_release);
    if (size == 1) return;
    for (unsigned i = 0; i < size; ++i) write(address + i, 1, (value >> (8 * i)) & 0xff);
}

}  // namespace mynah
