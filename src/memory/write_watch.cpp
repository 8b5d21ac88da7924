#include "memory/write_watch.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.h"

namespace mynah {

void WriteWatch::Unmap::operator()(std::atomic<uint64_t>* marks) const { munmap(marks, bytes); }

WriteWatch::WriteWatch(const std::byte* base, uint64_t size)
    : base_(base), pages_(size / kPageSize) {
    const size_t bytes = pages_ * sizeof(std::atomic<uint64_t>);
    void* marks = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(marks != MAP_FAILED);
    marks_ = {static_cast<std::atomic<uint64_t>*>(marks), Unmap{bytes}};
}

unsigned WriteWatch::add(Listener& listener) {
    MutexLock lock(mutex_);
    // In the place of one who went, so that engines that come and go do not use up the marks.
    if (const auto free = std::find(listeners_.begin(), listeners_.end(), nullptr);
        free != listeners_.end()) {
        *free = &listener;
        return static_cast<unsigned>(free - listeners_.begin());
    }
    listeners_.push_back(&listener);
    listener_count_.store(listeners_.size());
    return static_cast<unsigned>(listeners_.size() - 1);
}

void WriteWatch::remove(Listener& listener) {
    MutexLock lock(mutex_);
    std::replace(listeners_.begin(), listeners_.end(), &listener, static_cast<Listener*>(nullptr));
}

bool WriteWatch::watch(uint64_t page, unsigned listener) {
    any_.store(true);
    return marks_[page].fetch_or(uint64_t{1} << (listener % 64)) == 0;
}

void WriteWatch::unwatch(uint64_t page, unsigned listener) {
    if (listener_count_.load() > 64) return;  // the mark may be another's as well
    marks_[page].fetch_and(~(uint64_t{1} << (listener % 64)));
}

void WriteWatch::watch_everywhere(bool on, unsigned listener) {
    const uint64_t mark = uint64_t{1} << (listener % 64);
    if (on)
        everywhere_.fetch_or(mark);
    else
        everywhere_.fetch_and(~mark);
    if (on) any_.store(true);
}

void WriteWatch::report(const void* host, uint64_t size, const Listener* except) {
    auto at = static_cast<uint64_t>(static_cast<const std::byte*>(host) - base_);
    const uint64_t end = at + size;
    while (at < end) {
        const uint64_t page = at / kPageSize;
        const uint64_t stop = std::min(end, (page + 1) * kPageSize);
        const uint64_t marks = marks_[page].load() | everywhere_.load();
        if (marks != 0) {
            MutexLock lock(mutex_);
            for (size_t i = 0; i < listeners_.size(); ++i) {
                Listener* listener = listeners_[i];
                if (listener == nullptr || listener == except) continue;
                if (((marks >> (i % 64)) & 1) == 0) continue;
                listener->written(page, static_cast<unsigned>(at - page * kPageSize),
                                  static_cast<unsigned>(stop - page * kPageSize));
            }
        }
        at = stop;
    }
}

}  // namespace mynah
