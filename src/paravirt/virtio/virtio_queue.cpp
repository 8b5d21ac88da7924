#include "paravirt/virtio/virtio_queue.h"

#include "base/check.h"

namespace mynah {

using RingError = SplitRing::RingError;

VirtioQueue::VirtioQueue(const DmaView& memory, uint16_t index, QueueEvents& events)
    : memory_(memory), index_(index), events_(events), ring_(memory) {}

RingError VirtioQueue::note_broken() {
    if (!running_ || ring_.error() == RingError::kNone) return RingError::kNone;
    running_ = false;
    return ring_.error();
}

void VirtioQueue::chains_are_back(uint32_t count) {
    CHECK(chains_out_ >= count);
    chains_out_ -= count;
    if (chains_out_ == 0) all_back_.notify_all();
}

VirtioQueue::Batch VirtioQueue::open_quiet_batch() {
    Batch batch;
    RingError error = RingError::kNone;
    {
        MutexLock hold(lock_);
        if (!running_) return batch;
        batch.left = ring_.available();
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    return batch;
}

void VirtioQueue::put_back(Batch& batch, uint16_t count) {
    MutexLock hold(lock_);
    ring_.untake(count);
    batch.left = static_cast<uint16_t>(batch.left + count);
    chains_are_back(count);
}

VirtioQueue::Batch VirtioQueue::open_batch() {
    Batch batch;
    RingError error = RingError::kNone;
    {
        MutexLock hold(lock_);
        if (!running_) return batch;
        batch.left = ring_.arm_notification();
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    return batch;
}

bool VirtioQueue::take(Batch& batch, DescriptorChain& chain) {
    if (batch.left == 0) return false;
    RingError error = RingError::kNone;
    bool taken = false;
    {
        MutexLock hold(lock_);
        if (!running_) return false;
        // Somebody else may have served a part of what this batch saw.
        if (ring_.available() > 0 && ring_.take(chain)) {
            taken = true;
            ++chains_out_;
            --batch.left;
        }
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    return taken;
}

void VirtioQueue::give_back(uint16_t head, uint32_t written) {
    const virtio::UsedElement element{head, written};
    give_back_all({&element, 1});
}

void VirtioQueue::give_back_all(std::span<const virtio::UsedElement> chains) {
    if (chains.empty()) return;
    const auto count = static_cast<uint32_t>(chains.size());
    RingError error = RingError::kNone;
    bool interrupt = false;
    {
        MutexLock hold(lock_);
        interrupt = ring_.give_back_all(chains);
        error = note_broken();
        // A reset may be waiting for this chain; it must not be over before the interrupt is
        // raised.
        if (!interrupt && error == RingError::kNone) {
            chains_are_back(count);
            return;
        }
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    if (interrupt) events_.queue_used(index_);
    MutexLock hold(lock_);
    chains_are_back(count);
}

void VirtioQueue::reject() {
    RingError error = RingError::kNone;
    {
        MutexLock hold(lock_);
        ring_.reject();
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    MutexLock hold(lock_);
    chain_is_back();
}

bool VirtioQueue::start(const RingLayout& layout, SplitRing::Features features) {
    MutexLock hold(lock_);
    CHECK(!running_ && chains_out_ == 0);
    running_ = ring_.start(layout, features);
    return running_;
}

void VirtioQueue::abandon(uint32_t chains) {
    if (chains == 0) return;
    MutexLock hold(lock_);
    chains_are_back(chains);
}

bool VirtioQueue::running() const {
    MutexLock hold(lock_);
    return running_;
}

void VirtioQueue::halt() {
    MutexLock hold(lock_);
    running_ = false;
}

void VirtioQueue::stop() {
    MutexLock hold(lock_);
    running_ = false;
    while (chains_out_ > 0) all_back_.wait(lock_);
}

}  // namespace mynah
