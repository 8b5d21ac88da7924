#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backend/vhost/vhost_user_server.h"
#include "base/log.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// A virtio device of ours driven by a front end in another process, instead of by a transport and
// its guest: what VirtioSession is to a transport, this is to a vhost-user connection, or to that
// of a vDPA device. Its thread is the server's.
class VhostBackEnd final : public VhostUserModel, private QueueEvents {
  public:
    struct Offer {
        uint64_t features;  // of the device's, those that are the back end's business
        uint16_t queues;    // the first so many of the device's
        // Protocol features beside those of every back end: configuration, in-flight region.
        uint64_t protocol;
    };
    // The device must outlive it.
    VhostBackEnd(VirtioDevice& device, const Offer& offer);
    ~VhostBackEnd() override;

    // Who is told of used buffers, any thread; null: nobody.
    void connect(VhostCallSink* sink) { sink_ = sink; }

    uint64_t features() const override;
    uint64_t protocol_features() const override { return offer_.protocol; }
    uint16_t queue_count() const override { return offer_.queues; }
    uint16_t queue_size_max() const override { return kQueueSize; }
    void read_config(uint32_t offset, std::span<std::byte> to) override;
    void write_config(uint32_t offset, std::span<const std::byte> from) override;
    void negotiated(uint64_t features) override;
    void memory_changed(GuestMemory* memory) override;
    void reset() override;
    Result<void> start_ring(const Ring& ring) override;
    uint16_t stop_ring(uint16_t index) override;
    void bell(uint16_t index) override;
    // The same for a ring that may not be there; for tests.
    void ring_if_running(uint16_t index) {
        if (index < queues_.size()) bell(index);
    }

  private:
    // Front ends choose the size of rings themselves.
    static constexpr uint16_t kQueueSize = 1024;

    class Book;
    void queue_used(uint16_t index) override;
    void queue_broken(uint16_t index, mynah::Ring::RingError error) override;

    VirtioDevice& device_;
    const Offer offer_;
    uint64_t negotiated_ = 0;
    std::atomic<VhostCallSink*> sink_{nullptr};
    struct Queue {
        std::unique_ptr<VirtioQueue> queue;
        std::unique_ptr<Book> book;
    };
    std::vector<Queue> queues_;  // empty without memory
    GuestMemory* memory_ = nullptr;
    LogLimit complaints_;
};

}  // namespace mynah
