#include "paravirt/virtio/balloon/virtio_balloon.h"

#include <algorithm>
#include <cstring>

#include "memory/discard.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::balloon;

VirtioBalloon::VirtioBalloon(GuestMemory& memory, uint64_t memory_bytes,
                             VirtioBalloonOptions options)
    : memory_(memory), memory_bytes_(memory_bytes), options_(options) {}

uint32_t VirtioBalloon::device_id() const { return virtio::kDeviceBalloon; }

// Hinting and statistics are always offered: they cost nothing unless they are asked for, and so
// the queues have the numbers of [virtio-1.2 5.5.2] for drivers that count only those in use.
uint64_t VirtioBalloon::features() const {
    return kFeatureStatistics | kFeatureFreePageHint | kFeaturePagePoison |
           (options_.deflate_on_oom ? kFeatureDeflateOnOom : 0) |
           (options_.free_page_reporting ? kFeaturePageReporting : 0);
}

uint16_t VirtioBalloon::queue_count() const { return options_.free_page_reporting ? 5 : 4; }

// Drivers number the queues they use one after the other, as every known device does, and not as
// [virtio-1.2 5.5.2] has it; the two differ for a driver that knows some of the features only.
std::optional<VirtioBalloon::Role> VirtioBalloon::role(uint16_t queue) const {
    if (queue == 0) return Role::kInflate;
    if (queue == 1) return Role::kDeflate;
    uint16_t next = 2;
    for (const auto& [feature, role] : {std::pair{kFeatureStatistics, Role::kStatistics},
                                        std::pair{kFeatureFreePageHint, Role::kHints},
                                        std::pair{kFeaturePageReporting, Role::kReports}}) {
        if (has(feature) && next++ == queue) return role;
    }
    return std::nullopt;
}

void VirtioBalloon::read_config(uint64_t offset, std::span<std::byte> to) const {
    MutexLock lock(lock_);
    read_config_bytes(config_, offset, to);
}

void VirtioBalloon::write_config(uint64_t offset, std::span<const std::byte> from) {
    MutexLock lock(lock_);
    // Linux writes these two fields, each at once.
    uint32_t value = 0;
    if (from.size() != sizeof value) return;
    std::memcpy(&value, from.data(), sizeof value);
    if (offset == offsetof(Config, actual)) config_.actual = value;
    if (offset == offsetof(Config, poison_value)) config_.poison_value = value;
}

void VirtioBalloon::negotiated(uint64_t features) {
    negotiated_.store(features, std::memory_order_relaxed);
}

void VirtioBalloon::serve(VirtioQueue& queue) {
    const auto role = this->role(queue.index());
    if (!role) return;
    switch (*role) {
        case Role::kInflate:
            return serve_pages(queue, true);
        case Role::kDeflate:
            return serve_pages(queue, false);
        case Role::kStatistics:
            return serve_statistics(queue);
        case Role::kHints:
            return serve_hints(queue);
        case Role::kReports:
            return serve_reports(queue);
    }
}

// A new driver begins with an empty balloon; what the operator wants stays.
void VirtioBalloon::reset() {
    negotiated_.store(0, std::memory_order_relaxed);
    MutexLock lock(lock_);
    config_.actual = 0;
    config_.free_page_hint_command = kHintStop;
    config_.poison_value = 0;
    driver_hint_command_ = 0;
    statistics_queue_ = nullptr;
    statistics_.fill(std::nullopt);
}

// --- Pages by number.

void VirtioBalloon::serve_pages(VirtioQueue& queue, bool inflate) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    std::vector<uint32_t> pages;
    while (queue.take(batch, chain)) {
        const uint64_t count = std::min(chain.readable.size() / sizeof(uint32_t), kMaxPages);
        pages.resize(count);
        if (inflate && chain.readable.take_front(std::as_writable_bytes(std::span(pages))))
            discard_pages(pages);
        queue.give_back(chain.head, 0);
    }
}

// One call of the host for each run of pages.
void VirtioBalloon::discard_pages(std::vector<uint32_t>& pages) {
    std::sort(pages.begin(), pages.end());
    for (size_t i = 0; i < pages.size();) {
        const uint64_t first = pages[i];
        uint64_t count = 1;
        while (++i < pages.size() && pages[i] <= first + count) {
            if (pages[i] == first + count) ++count;
        }
        if (discard_memory(memory_, GuestPhys{first << kPageShift}, count << kPageShift))
            discarded_.fetch_add(count << kPageShift, std::memory_order_relaxed);
    }
}

// --- Free pages, as buffers.

bool VirtioBalloon::may_discard_free_pages() const {
    if (!has(kFeaturePagePoison)) return true;
    MutexLock lock(lock_);
    return config_.poison_value == 0;
}

void VirtioBalloon::discard_buffers(const SliceList& buffers) {
    for (const Slice slice : buffers.slices()) {
        if (discard_memory(memory_, slice))
            discarded_.fetch_add(slice.size(), std::memory_order_relaxed);
    }
}

void VirtioBalloon::serve_reports(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        if (may_discard_free_pages()) discard_buffers(chain.writable);
        queue.give_back(chain.head, 0);
    }
}

void VirtioBalloon::serve_hints(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    bool done = false;
    while (queue.take(batch, chain)) {
        uint32_t command = 0;
        bool wanted = false;
        const bool said = chain.readable.take_front(std::as_writable_bytes(std::span(&command, 1)));
        {
            MutexLock lock(lock_);
            if (said) {
                // The driver has told all it had [virtio-1.2 5.5.6.5].
                done |= command == kHintStop && driver_hint_command_ == last_hint_command_ &&
                        config_.free_page_hint_command == last_hint_command_;
                driver_hint_command_ = command;
            }
            wanted = driver_hint_command_ >= kFirstHintCommand &&
                     driver_hint_command_ == config_.free_page_hint_command;
        }
        if (wanted && may_discard_free_pages()) discard_buffers(chain.writable);
        queue.give_back(chain.head, 0);
    }
    if (!done) return;
    // The guest may use its pages again.
    {
        MutexLock lock(lock_);
        config_.free_page_hint_command = kHintDone;
    }
    changed();
}

void VirtioBalloon::ask_for_free_pages() {
    if (!has(kFeatureFreePageHint)) return;
    {
        MutexLock lock(lock_);
        last_hint_command_ = std::max(last_hint_command_ + 1, kFirstHintCommand);
        config_.free_page_hint_command = last_hint_command_;
    }
    changed();
}

// --- Statistics: the driver's buffer stays in the ring until newer ones are wanted.

void VirtioBalloon::serve_statistics(VirtioQueue& queue) {
    MutexLock order(statistics_order_);
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    if (!queue.take(batch, chain)) return;
    std::array<std::optional<uint64_t>, kStatistics> told;
    std::array<std::byte, kStatisticBytes> entry;
    for (unsigned i = 0; i < 64 && chain.readable.take_front(entry); ++i) {
        uint16_t tag = 0;
        uint64_t value = 0;
        std::memcpy(&tag, entry.data(), sizeof tag);
        std::memcpy(&value, entry.data() + sizeof tag, sizeof value);
        if (tag < kStatistics) told[tag] = value;
    }
    queue.put_back(batch, 1);
    MutexLock lock(lock_);
    statistics_queue_ = &queue;
    statistics_ = told;
}

std::array<std::optional<uint64_t>, kStatistics> VirtioBalloon::statistics() {
    MutexLock order(statistics_order_);
    VirtioQueue* queue = nullptr;
    std::array<std::optional<uint64_t>, kStatistics> told;
    {
        MutexLock lock(lock_);
        queue = statistics_queue_;
        told = statistics_;
        if (queue == nullptr) return told;
    }
    VirtioQueue::Batch batch = queue->open_batch();
    DescriptorChain chain;
    if (queue->take(batch, chain)) queue->give_back(chain.head, 0);
    return told;
}

// --- The size.

void VirtioBalloon::set_target(uint64_t bytes) {
    {
        MutexLock lock(lock_);
        config_.pages = static_cast<uint32_t>((memory_bytes_ - std::min(bytes, memory_bytes_)) >>
                                              kPageShift);
    }
    changed();
}

uint64_t VirtioBalloon::actual() const {
    MutexLock lock(lock_);
    return memory_bytes_ -
           std::min(memory_bytes_, uint64_t{config_.actual} << kPageShift);
}

void VirtioBalloon::changed() {
    if (VirtioDeviceEvents* const events = events_) events->configuration_changed();
}

}  // namespace mynah
