#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "paravirt/virtio/ring.h"

namespace mynah {

// Told by queues, with no lock held. Any thread.
class QueueEvents {
  public:
    virtual ~QueueEvents() = default;
    // The driver wants to hear that buffers of this queue were used.
    virtual void queue_used(uint16_t index) = 0;
    // The driver broke a rule of the ring; the queue has stopped.
    virtual void queue_broken(uint16_t index, Ring::RingError error) = 0;
};

// Keeps book of the chains that are out where whoever runs the ring next will find it. Called with
// the queue's lock held.
class ChainLog {
  public:
    virtual ~ChainLog() = default;
    virtual void taken(uint16_t head) = 0;
    // Before and after the driver sees that these are used.
    virtual void returning(std::span<const virtio::UsedElement> chains) = 0;
    virtual void returned(std::span<const virtio::UsedElement> chains) = 0;
};

// One virtqueue as a device uses it: a ring, its lock, and the count of chains that are out.
// Every function from any thread. Several threads may take from one queue at once.
class VirtioQueue {
  public:
    VirtioQueue(const DmaView& memory, uint16_t index, QueueEvents& events);

    uint16_t index() const { return index_; }

    // --- for devices ---

    // One bell's worth of work: opens with what is available now, and take() gives no more than
    // that, so that one processor is not kept at work for what others add; their bells will ring.
    struct Batch {
        uint16_t left = 0;
    };
    Batch open_batch();
    // The same without asking for a bell for what is added later: for a queue whose buffers wait
    // for the device. When they have run out, open_batch() asks.
    Batch open_quiet_batch();
    // The next chain; false if the batch is done or the queue was stopped. A chain taken must be
    // given back, always, and soon: stop() waits for it.
    [[nodiscard]] bool take(Batch& batch, DescriptorChain& chain);
    // The device wrote to these parts of chains; said before they are given back.
    void wrote(const SliceList& written) const { memory_.wrote(written); }
    // The memory of its driver, for addresses that lie in requests.
    const DmaView& memory() const { return memory_; }
    // Returns a chain. `written`: bytes of the writable part that are new, from its start.
    void give_back(uint16_t head, uint32_t written);
    // Returns several chains, which the driver sees all at once.
    void give_back_all(std::span<const virtio::UsedElement> chains);
    // Puts the last `count` chains that were taken from this batch back as if they had not been.
    // Only where one thread takes from the queue.
    void put_back(Batch& batch, uint16_t count);
    // The device found the chain itself to break its rules: the driver must reset the device.
    // The chain counts as given back.
    void reject();
    // Drops chains of a queue that is stopping: the driver gets them back with the queue, so
    // nothing is said in the ring.
    void abandon(uint32_t chains);
    bool running() const;

    // --- for the session ---

    // False: the layout breaks a rule of [virtio-1.2 2.7, 2.8].
    [[nodiscard]] bool start(const RingLayout& layout, Ring::Features features);
    // For a ring that somebody ran before, before start(): heads of the chains that were out then,
    // to be taken first; and the book to keep, null for none, which must outlive the run.
    void resume(std::vector<uint16_t> heads, ChainLog* log);
    // Other memory from now on; while the queue is stopped.
    void move_to(const DmaView& memory);
    // Where in a split ring take() goes on.
    uint16_t position() const;
    // No chain is handed out from now on.
    void halt();
    // The same; waits until all that are out are back.
    void stop();

  private:
    // The error of a ring that has just broken, which stops the queue; else kNone.
    Ring::RingError note_broken() REQUIRES(lock_);
    bool take_one(DescriptorChain& chain) REQUIRES(lock_);
    void chain_is_back() REQUIRES(lock_) { chains_are_back(1); }
    void chains_are_back(uint32_t count) REQUIRES(lock_);
    std::span<const virtio::UsedElement> put_in_order(std::span<const virtio::UsedElement> chains)
        REQUIRES(lock_);

    DmaView memory_;  // changes only while nothing is out
    const uint16_t index_;
    QueueEvents& events_;
    mutable Mutex lock_;
    std::unique_ptr<Ring> ring_ GUARDED_BY(lock_);  // null until the queue first starts
    // With IN_ORDER, what is out in the order it was taken [virtio-1.2 2.7.9, 2.8.12]: what comes
    // back early waits here for those before it.
    struct Due {
        virtio::UsedElement used;
        bool back = false;
    };
    bool in_order_ GUARDED_BY(lock_) = false;
    std::deque<Due> due_ GUARDED_BY(lock_);
    std::vector<virtio::UsedElement> ready_ GUARDED_BY(lock_);
    std::vector<uint16_t> again_ GUARDED_BY(lock_);  // to be taken first, the last one first
    ChainLog* log_ GUARDED_BY(lock_) = nullptr;
    bool running_ GUARDED_BY(lock_) = false;
    uint32_t chains_out_ GUARDED_BY(lock_) = 0;
    std::condition_variable_any all_back_;
};

}  // namespace mynah
