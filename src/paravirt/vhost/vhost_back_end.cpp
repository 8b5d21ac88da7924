#include "paravirt/vhost/vhost_back_end.h"

#include <fmt/core.h>

#include "memory/dma_view.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio;

// Writes down in the front end's in-flight region what is out.
class VhostBackEnd::Book final : public ChainLog {
  public:
    Book(InflightRegion& region, uint16_t queue, uint16_t used)
        : region_(region), queue_(queue), used_(used) {}

    void taken(uint16_t head) override { region_.taken(queue_, head); }
    void returning(std::span<const UsedElement> chains) override {
        heads_.clear();
        for (const UsedElement& chain : chains) heads_.push_back(static_cast<uint16_t>(chain.id));
        region_.returning(queue_, heads_);
    }
    void returned(std::span<const UsedElement>) override {
        used_ = static_cast<uint16_t>(used_ + heads_.size());
        region_.returned(queue_, heads_, used_);
    }

  private:
    InflightRegion& region_;
    const uint16_t queue_;
    uint16_t used_;
    std::vector<uint16_t> heads_;
};

VhostBackEnd::VhostBackEnd(VirtioDevice& device, const Offer& offer)
    : device_(device), offer_(offer) {}

VhostBackEnd::~VhostBackEnd() { memory_changed(nullptr); }

uint64_t VhostBackEnd::features() const {
    return (device_.features() & offer_.features) | kFeatureVersion1 | kFeatureIndirectDesc |
           kFeatureEventIdx;
}

void VhostBackEnd::read_config(uint32_t offset, std::span<std::byte> to) {
    device_.read_config(offset, to);
}

void VhostBackEnd::write_config(uint32_t offset, std::span<const std::byte> from) {
    device_.write_config(offset, from);
}

void VhostBackEnd::negotiated(uint64_t features) {
    negotiated_ = features;
    device_.negotiated(features & device_.features());
}

void VhostBackEnd::reset() {
    device_.reset();
    negotiated_ = 0;
}

void VhostBackEnd::memory_changed(GuestMemory* memory) {
    memory_ = memory;
    if (memory == nullptr) {
        // The device may know queues that go.
        device_.reset();
        queues_.clear();
        return;
    }
    // A front end changes the memory of a driver that goes on: what the device knows stays.
    for (Queue& place : queues_) place.queue->move_to(DmaView(*memory));
    if (!queues_.empty()) return;
    QueueEvents& events = *this;
    for (uint16_t i = 0; i < offer_.queues; ++i) {
        queues_.push_back({std::make_unique<VirtioQueue>(DmaView(*memory), i, events), nullptr});
    }
}

Result<void> VhostBackEnd::start_ring(const Ring& ring) {
    Queue& place = queues_[ring.index];
    mynah::Ring::Features features;
    features.indirect = (negotiated_ & kFeatureIndirectDesc) != 0;
    features.event_index = (negotiated_ & kFeatureEventIdx) != 0;
    features.max_chain = kQueueSize;
    features.next_available = features.next_used = ring.next_available;
    std::vector<uint16_t> again;
    place.book.reset();
    if (ring.inflight != nullptr) {
        // What a back end before us had taken and not returned is taken again: the available ring
        // is behind those, the used ring where the driver sees it.
        const auto used = DmaView(*memory_).load_acquire<uint16_t>(ring.used + kUsedIdx);
        if (!used) return Error(fmt::format("ring {} is not in memory", ring.index));
        again = ring.inflight->recover(ring.index, ring.size, *used).heads;
        features.next_used = *used;
        features.next_available = static_cast<uint16_t>(*used + again.size());
        place.book = std::make_unique<Book>(*ring.inflight, ring.index, *used);
    }
    place.queue->resume(std::move(again), place.book.get());
    const RingLayout layout{ring.size, ring.descriptors, ring.available, ring.used};
    if (!place.queue->start(layout, features))
        return Error(fmt::format("ring {} is misaligned or not in memory", ring.index));
    device_.serve(*place.queue);
    return {};
}

uint16_t VhostBackEnd::stop_ring(uint16_t index) {
    VirtioQueue& queue = *queues_[index].queue;
    queue.halt();
    device_.stopping(queue);
    queue.stop();
    return queue.position();
}

void VhostBackEnd::bell(uint16_t index) { device_.serve(*queues_[index].queue); }

void VhostBackEnd::queue_used(uint16_t index) {
    if (VhostCallSink* const sink = sink_) sink->call(index);
}

void VhostBackEnd::queue_broken(uint16_t index, mynah::Ring::RingError error) {
    if (complaints_.allow())
        log(LogLevel::kWarning, "ring {} stopped: {}", index, ring_error_name(error));
}

}  // namespace mynah
