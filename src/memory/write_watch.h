#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "memory/address.h"

namespace mynah {

// Who wants to hear of writes to which pages of guest RAM. Pages are counted in the order in which
// RAM lies in its backing file. A write to a watched page must be reported after it was made by
// whoever makes it: engines, DMA views, loaders. Any thread; no lock unless a page is watched.
class WriteWatch {
  public:
    class Listener {
      public:
        // Bytes [begin, end) of `page` may have changed. On the writer's thread.
        virtual void written(uint64_t page, unsigned begin, unsigned end) = 0;

      protected:
        ~Listener() = default;
    };

    WriteWatch(const std::byte* base, uint64_t size);

    // Whoever removes a listener has unwatched its pages. At most 64 have a mark
    // of their own; more share marks.
    unsigned add(Listener& listener);
    void remove(Listener& listener);

    uint64_t page_of(const void* host) const {
        return static_cast<uint64_t>(static_cast<const std::byte*>(host) - base_) / kPageSize;
    }
    const std::byte* host_of(uint64_t page) const { return base_ + page * kPageSize; }
    bool watched(uint64_t page) const {
        return marks_of(page) != 0;
    }
    // Whether somebody but this listener may watch the page.
    bool watched_by_others(uint64_t page, unsigned listener) const {
        const uint64_t own = uint64_t{1} << (listener % 64);
        return listener_count_.load(std::memory_order_relaxed) > 64 ||
               (marks_of(page) & ~own) != 0;
    }
    // Processors that cannot report their writes one by one note them elsewhere; this has them
    // reported. Called before somebody relies on what was. Set before the machine runs.
    void set_harvest(std::function<void()> harvest) { harvest_ = std::move(harvest); }
    void harvest() const {
        if (harvest_) harvest_();
    }
    bool any() const { return any_.load(std::memory_order_relaxed); }

    // True: the page was not yet watched by anybody.
    bool watch(uint64_t page, unsigned listener);
    // Also from within Listener::written.
    void unwatch(uint64_t page, unsigned listener);

    // All pages at once, whatever their marks say; for memory that no processor of ours runs on,
    // as what they know of pages is not forgotten.
    void watch_everywhere(bool on, unsigned listener);

    // Reports a write, to all listeners or all but one.
    void wrote(const void* host, uint64_t size, const Listener* except = nullptr) {
        // The write itself must be out before it is looked whether somebody watches: whoever begins
        // to watch just now, and reads then, would otherwise neither read it nor hear of it.
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (any()) report(host, size, except);
    }
    void wrote(std::span<const std::span<std::byte>> slices) {
        for (const auto& slice : slices) wrote(slice.data(), slice.size());
    }

  private:
    void report(const void* host, uint64_t size, const Listener* except);
    uint64_t marks_of(uint64_t page) const {
        return marks_[page].load(std::memory_order_relaxed) |
               everywhere_.load(std::memory_order_relaxed);
    }

    const std::byte* const base_;
    const uint64_t pages_;
    // One bit for each listener; zero pages are not touched until something is watched.
    struct Unmap {
        size_t bytes;
        void operator()(std::atomic<uint64_t>* marks) const;
    };
    std::unique_ptr<std::atomic<uint64_t>[], Unmap> marks_;
    std::atomic<uint64_t> everywhere_{0};  // marks of all pages
    std::atomic<bool> any_{false};
    std::function<void()> harvest_;
    mutable Mutex mutex_;
    std::vector<Listener*> listeners_ GUARDED_BY(mutex_);
    std::atomic<size_t> listener_count_{0};
};

}  // namespace mynah
