#include "paravirt/virtio/virtio_queue.h"

#include <algorithm>

#include "base/check.h"
#include "paravirt/virtio/packed_ring.h"
#include "paravirt/virtio/split_ring.h"

namespace mynah {

using RingError = Ring::RingError;

VirtioQueue::VirtioQueue(const DmaView& memory, uint16_t index, QueueEvents& events)
    : memory_(memory), index_(index), events_(events) {}

RingError VirtioQueue::note_broken() {
    if (!running_ || ring_->error() == RingError::kNone) return RingError::kNone;
    running_ = false;
    return ring_->error();
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
        batch.left = ring_->available();
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    return batch;
}

void VirtioQueue::put_back(Batch& batch, uint16_t count) {
    MutexLock hold(lock_);
    ring_->untake(count);
    if (in_order_) due_.resize(due_.size() - count);
    batch.left = static_cast<uint16_t>(batch.left + count);
    chains_are_back(count);
}

VirtioQueue::Batch VirtioQueue::open_batch() {
    Batch batch;
    RingError error = RingError::kNone;
    {
        MutexLock hold(lock_);
        if (!running_) return batch;
        batch.left = static_cast<uint16_t>(ring_->arm_notification() + again_.size());
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
        if (take_one(chain)) {
            taken = true;
            ++chains_out_;
            --batch.left;
            if (in_order_) due_.push_back({{chain.head, 0}, false});
        } else {
            batch.left = 0;
        }
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    return taken;
}

bool VirtioQueue::take_one(DescriptorChain& chain) {
    if (again_.empty()) {
        if (!ring_->has_available() || !ring_->take(chain)) return false;
    } else {
        const uint16_t head = again_.back();
        again_.pop_back();
        if (!ring_->retake(head, chain)) return false;
    }
    if (log_ != nullptr) log_->taken(chain.head);
    return true;
}

void VirtioQueue::resume(std::vector<uint16_t> heads, ChainLog* log) {
    MutexLock hold(lock_);
    CHECK(!running_ && chains_out_ == 0);
    again_.assign(heads.rbegin(), heads.rend());
    log_ = log;
}

void VirtioQueue::move_to(const DmaView& memory) {
    MutexLock hold(lock_);
    CHECK(!running_ && chains_out_ == 0);
    ring_.reset();
    memory_ = memory;
}

uint16_t VirtioQueue::position() const {
    MutexLock hold(lock_);
    return ring_ ? ring_->position() : uint16_t{0};
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
        if (log_ != nullptr) log_->returning(chains);
        interrupt = ring_->give_back_all(in_order_ ? put_in_order(chains) : chains);
        if (log_ != nullptr) log_->returned(chains);
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

// What can be returned now that these are back, without going ahead of what was taken before.
std::span<const virtio::UsedElement> VirtioQueue::put_in_order(
    std::span<const virtio::UsedElement> chains) {
    for (const virtio::UsedElement& chain : chains) {
        const auto due = std::ranges::find_if(
            due_, [&](const Due& each) { return !each.back && each.used.id == chain.id; });
        CHECK(due != due_.end());
        *due = {chain, true};
    }
    ready_.clear();
    while (!due_.empty() && due_.front().back) {
        ready_.push_back(due_.front().used);
        due_.pop_front();
    }
    return ready_;
}

void VirtioQueue::reject() {
    RingError error = RingError::kNone;
    {
        MutexLock hold(lock_);
        ring_->reject();
        error = note_broken();
    }
    if (error != RingError::kNone) events_.queue_broken(index_, error);
    MutexLock hold(lock_);
    chain_is_back();
}

bool VirtioQueue::start(const RingLayout& layout, Ring::Features features) {
    MutexLock hold(lock_);
    CHECK(!running_ && chains_out_ == 0);
    if (features.packed)
        ring_ = std::make_unique<PackedRing>(memory_);
    else
        ring_ = std::make_unique<SplitRing>(memory_);
    in_order_ = features.in_order;
    due_.clear();
    running_ = ring_->start(layout, features);
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
