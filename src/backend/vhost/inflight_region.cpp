#include "backend/vhost/inflight_region.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "backend/vhost/shared_memory.h"
#include "memory/fault_guard.h"

namespace mynah {

// struct QueueRegionSplit and DescStateSplit of the document.
struct InflightRegion::Queue {
    uint64_t features;
    uint16_t version;
    uint16_t entries;
    uint16_t last_batch_head;
    uint16_t used_index;
};
struct InflightRegion::Entry {
    uint8_t inflight;
    uint8_t padding[5];
    uint16_t next;  // of the same batch
    uint64_t count;
};

namespace {

constexpr uint16_t kRegionVersion = 1;
constexpr uint16_t kMostQueues = 256, kMostEntries = 32768;
constexpr uint64_t kAlignment = 64;

}  // namespace

uint64_t InflightRegion::bytes_of_queue(uint16_t queue_size) {
    static_assert(sizeof(Queue) == 16 && sizeof(Entry) == 16);
    const uint64_t bytes = sizeof(Queue) + uint64_t{queue_size} * sizeof(Entry);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Result<std::unique_ptr<InflightRegion>> InflightRegion::create(uint16_t queues,
                                                               uint16_t queue_size) {
    if (queues == 0 || queues > kMostQueues || queue_size == 0 || queue_size > kMostEntries)
        return Error("an in-flight region for queues that cannot be");
    const uint64_t bytes = queues * bytes_of_queue(queue_size);
    Fd fd(memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid() || ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
        return Error(fmt::format("in-flight region: {}", std::strerror(errno)));
    TRY(seal_size(fd.get()));
    auto region = TRY(map(std::move(fd), {bytes, 0, queues, queue_size}));
    for (uint16_t i = 0; i < queues; ++i) {
        region->queue_at(i)->version = kRegionVersion;
        region->queue_at(i)->entries = queue_size;
    }
    return region;
}

Result<std::unique_ptr<InflightRegion>> InflightRegion::adopt(Fd fd,
                                                              const vhost_user::Inflight& what) {
    if (what.queues == 0 || what.queues > kMostQueues || what.queue_size == 0 ||
        what.queue_size > kMostEntries ||
        what.mmap_size < what.queues * bytes_of_queue(what.queue_size)) {
        return Error("an in-flight region of a size it cannot have");
    }
    if (what.mmap_offset % kAlignment != 0) return Error("an in-flight region that is misaligned");
    return map(std::move(fd), what);
}

Result<std::unique_ptr<InflightRegion>> InflightRegion::map(Fd fd,
                                                            const vhost_user::Inflight& what) {
    auto mapping = ForeignMapping::map(std::move(fd), what.mmap_offset, what.mmap_size);
    if (!mapping) return Error(fmt::format("an in-flight region {}", mapping.error().message()));
    return std::unique_ptr<InflightRegion>(
        new InflightRegion(mapping.take_value(), what.queues, what.queue_size));
}

InflightRegion::InflightRegion(std::unique_ptr<ForeignMapping> mapping, uint16_t queues,
                               uint16_t queue_size)
    : mapping_(std::move(mapping)),
      queues_(queues),
      queue_size_(queue_size),
      next_count_(queues) {}

vhost_user::Inflight InflightRegion::description() const {
    return {mapping_->bytes().size(), mapping_->offset(), queues_, queue_size_};
}

InflightRegion::Queue* InflightRegion::queue_at(uint16_t queue) const {
    return reinterpret_cast<Queue*>(mapping_->bytes().data() + queue * bytes_of_queue(queue_size_));
}

// Null beyond what the region has, which is then not tracked.
InflightRegion::Entry* InflightRegion::entry_at(uint16_t queue, uint16_t head) const {
    if (queue >= queues_ || head >= queue_size_) return nullptr;
    auto* const first = reinterpret_cast<Entry*>(reinterpret_cast<std::byte*>(queue_at(queue)) +
                                                 sizeof(Queue));
    return first + head;
}

InflightRegion::Left InflightRegion::recover(uint16_t queue, uint16_t size, uint16_t used) {
    Left left;
    if (queue >= queues_) return left;
    Queue& book = *queue_at(queue);
    // The batch that was being returned is used if the ring says so.
    if (book.used_index != used) {
        uint16_t head = book.last_batch_head;
        for (auto count = static_cast<uint16_t>(used - book.used_index);
             count > 0 && count <= size; --count) {
            Entry* const entry = entry_at(queue, head);
            if (entry == nullptr) break;
            entry->inflight = 0;
            head = entry->next;
        }
        book.used_index = used;
    }
    std::vector<std::pair<uint64_t, uint16_t>> found;
    for (uint16_t head = 0; head < std::min(size, queue_size_); ++head) {
        const Entry& entry = *entry_at(queue, head);
        if (entry.inflight == 1) found.emplace_back(entry.count, head);
    }
    std::sort(found.begin(), found.end());
    for (const auto& [count, head] : found) left.heads.push_back(head);
    next_count_[queue] = found.empty() ? 0 : found.back().first + 1;
    return left;
}

void InflightRegion::taken(uint16_t queue, uint16_t head) {
    Entry* const entry = entry_at(queue, head);
    if (entry == nullptr) return;
    entry->count = next_count_[queue]++;
    std::atomic_thread_fence(std::memory_order_release);
    entry->inflight = 1;
}

void InflightRegion::returning(uint16_t queue, std::span<const uint16_t> heads) {
    if (queue >= queues_) return;
    for (const uint16_t head : heads) {
        if (Entry* const entry = entry_at(queue, head)) {
            entry->next = queue_at(queue)->last_batch_head;
            queue_at(queue)->last_batch_head = head;
        }
    }
    std::atomic_thread_fence(std::memory_order_release);
}

void InflightRegion::returned(uint16_t queue, std::span<const uint16_t> heads, uint16_t used) {
    if (queue >= queues_) return;
    std::atomic_thread_fence(std::memory_order_release);
    for (const uint16_t head : heads) {
        if (Entry* const entry = entry_at(queue, head)) entry->inflight = 0;
    }
    std::atomic_thread_fence(std::memory_order_release);
    queue_at(queue)->used_index = used;
}

}  // namespace mynah
