// How processors, and devices, tell each other of writes to pages that code was translated from.
//
// A processor that translates the first code of a page takes the right to write to it away from
// all: its own TLB forgets it, and the others find a message. Until each of them has read it, or
// is outside the guest (it reads before it comes back), code of the page is not translated. From
// then on every write takes a slow path that reports it here.

#include "engine/translator/processor.h"

namespace mynah::translator {

void Processor::written(uint64_t page, unsigned begin, unsigned end) {
    post({.page = page,
          .begin = static_cast<uint16_t>(begin),
          .end = static_cast<uint16_t>(end)});
}

uint64_t Processor::post(const Message& message) {
    uint64_t number;
    {
        MutexLock lock(inbox_lock_);
        inbox_.push_back(message);
        number = posted_.fetch_add(1) + 1;
    }
    core_.signals_.alarm();
    return number;
}

void Processor::drain() {
    std::vector<Message> messages;
    uint64_t number;
    {
        MutexLock lock(inbox_lock_);
        messages.swap(inbox_);
        number = posted_.load();
    }
    for (const Message& message : messages) {
        if (message.begin == message.end) {
            const std::byte* host = core_.shared.memory.watch().host_of(message.page);
            core_.tlb_.forget_writes(reinterpret_cast<uintptr_t>(host));
        } else {
            invalidate_range(message.page, message.begin, message.end);
        }
    }
    frame_.stack_tag = HostFrame::kNoStack;
    drained_.store(number);
}

// A block is about to write to a page that is code: whether it may, as if the page were not. What
// was translated from the bytes is forgotten first; that nobody can see, because nothing is
// translated before the block is left. Another processor that begins to watch the page just now
// waits until this one has read its message, which is behind the write.
bool Processor::writable_at_once(uintptr_t host, unsigned size, uint32_t block) {
    if (options_.lockstep || core_.alignment_check_ || core_.data_breakpoints_) return false;
    const WriteWatch& watch = core_.shared.memory.watch();
    const uint64_t page = watch.page_of(reinterpret_cast<const void*>(host));
    if (watch.watched_by_others(page, watch_index_)) return false;
    const auto begin = static_cast<unsigned>(host & kPageMask);
    if (watch.watched(page)) invalidate_range(page, begin, begin + size);
    core_.note_data_page(host);
    return blocks_[block].valid;
}

void Processor::watch_page(CodePage& page) {
    if (page.is_watched) return;
    page.is_watched = true;
    page.writes = 0;
    core_.shared.memory.watch().watch(page.watched, watch_index_);
    core_.tlb_.forget_writes(page.host);
    frame_.stack_tag = HostFrame::kNoStack;

    MutexLock lock(crew_.mutex);
    for (Processor* other : crew_.members) {
        if (other == this) continue;
        const uint64_t number = other->post({.page = page.watched, .begin = 0, .end = 0});
        if (other->running_.load()) unsettled_[page.watched].push_back({other, number});
    }
}

bool Processor::settled(uint64_t watched_page) {
    const auto found = unsettled_.find(watched_page);
    if (found == unsettled_.end()) return true;
    for (const Awaited& awaited : found->second) {
        if (awaited.who->running_.load() && awaited.who->drained_.load() < awaited.posted)
            return false;
    }
    unsettled_.erase(found);
    return true;
}

}  // namespace mynah::translator
