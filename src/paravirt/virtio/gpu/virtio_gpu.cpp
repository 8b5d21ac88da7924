#include "paravirt/virtio/gpu/virtio_gpu.h"

#include <algorithm>
#include <cstring>

#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::gpu;

VirtioGpu::VirtioGpu(const Monitor& monitor) : monitor_(monitor) {}

uint32_t VirtioGpu::device_id() const { return virtio::kDeviceGpu; }
uint64_t VirtioGpu::features() const { return kFeatureEdid | kFeatureResourceBlob; }

uint16_t VirtioGpu::queue_size_max(uint16_t queue) const {
    return queue == kControlQueue ? kControlEntries : kCursorEntries;
}

void VirtioGpu::read_config(uint64_t offset, std::span<std::byte> to) const {
    MutexLock lock(mutex_);
    read_config_bytes(Config{events_read_, 0, 1, 0}, offset, to);
}

// Events are cleared by writing their bits, in one access [virtio-1.2 5.7.4.2].
void VirtioGpu::write_config(uint64_t offset, std::span<const std::byte> from) {
    if (offset != offsetof(Config, events_clear) || from.size() != sizeof(uint32_t)) return;
    uint32_t cleared;
    std::memcpy(&cleared, from.data(), sizeof cleared);
    MutexLock lock(mutex_);
    events_read_ &= ~cleared;
}

void VirtioGpu::connect(VirtioDeviceEvents* events) {
    MutexLock lock(mutex_);
    events_ = events;
}

void VirtioGpu::reset() {
    MutexLock lock(mutex_);
    screen_ = GpuScreen();
    resources_.clear();
    memory_.reset();
    events_read_ = 0;
    shows_ = false;
}

void VirtioGpu::serve(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        if (queue.index() == kCursorQueue) {
            handle_cursor(queue, chain);
            queue.give_back(chain.head, 0);
            continue;
        }
        const uint32_t written = handle(queue, chain);
        queue.wrote(chain.writable);
        queue.give_back(chain.head, written);
    }
}

// Everything is done when the answer is there, so a fence needs nothing but to be told
// [virtio-1.2 5.7.6.7].
uint32_t VirtioGpu::handle(VirtioQueue& queue, DescriptorChain& chain) {
    Header header{};
    Answer answer(sizeof(Header));
    uint32_t type = kErrUnspecified;
    if (chain.readable.take_front(std::as_writable_bytes(std::span(&header, 1)))) {
        MutexLock lock(mutex_);
        if (!memory_) memory_.emplace(queue.memory());
        type = execute(header.type, chain.readable, queue.memory(), answer);
    }
    Header response{};
    response.type = type;
    if ((header.flags & kFlagFence) != 0) {
        response.flags = kFlagFence;
        response.fence = header.fence;
        response.context = header.context;
    }
    std::memcpy(answer.data(), &response, sizeof response);
    return static_cast<uint32_t>(chain.writable.fill(answer));
}

bool VirtioGpu::request_size(uint32_t width, uint32_t height) {
    VirtioDeviceEvents* events = nullptr;
    {
        MutexLock lock(mutex_);
        monitor_.preferred_width =
            static_cast<uint16_t>(std::clamp(width, kSideLeast, kSideMost) & ~1u);
        monitor_.preferred_height =
            static_cast<uint16_t>(std::clamp(height, kSideLeast * 5 / 8, kSideMost) & ~1u);
        events_read_ |= kEventDisplay;
        events = events_;
    }
    if (events != nullptr) events->configuration_changed();
    return true;
}

void VirtioGpu::refresh(Surface& surface, std::vector<Rect>& changed) {
    MutexLock lock(mutex_);
    const Rect blank{0, 0, monitor_.preferred_width, monitor_.preferred_height};
    screen_.draw(resources_, memory_ ? &*memory_ : nullptr, blank, surface, changed);
}

}  // namespace mynah
