#include "backend/network/frame_delivery.h"

#include <algorithm>
#include <array>

namespace mynah {

bool FrameDelivery::push(std::span<const std::byte> frame, const FrameOffload& offload) {
    MutexLock lock(mutex_);
    if (sink_ == nullptr || queue_.size() >= kMostWaiting) return false;
    std::unique_ptr<Entry> entry;
    if (spares_.empty()) {
        entry = std::make_unique<Entry>();
    } else {
        entry = std::move(spares_.back());
        spares_.pop_back();
    }
    entry->bytes.assign(frame.begin(), frame.end());
    entry->offload = offload;
    queue_.push_back(std::move(entry));
    return true;
}

size_t FrameDelivery::hand_over(NetworkSink& sink, std::span<Entry* const> batch) {
    std::array<Slice, kBatch> slices;
    std::array<NetworkFrame, kBatch> frames;
    for (size_t i = 0; i < batch.size(); ++i) {
        slices[i] = batch[i]->bytes;
        frames[i] = {std::span(&slices[i], 1), slices[i].size(), batch[i]->offload};
    }
    return std::min(sink.receive(std::span(frames).first(batch.size())), batch.size());
}

void FrameDelivery::recycle_front(size_t count) {
    for (size_t i = 0; i < count && !queue_.empty(); ++i) {
        if (spares_.size() < kSpares) spares_.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
}

bool FrameDelivery::deliver(size_t limit) {
    MutexLock lock(mutex_);
    if (delivering_) return false;  // who is at it sees what was added
    delivering_ = true;
    size_t done = 0;
    while (sink_ != nullptr && !blocked_ && !queue_.empty() && done < limit) {
        std::array<Entry*, kBatch> batch;
        const size_t count = std::min(kBatch, queue_.size());
        for (size_t i = 0; i < count; ++i) batch[i] = queue_[i].get();
        ready_again_ = false;
        NetworkSink& sink = *sink_;
        mutex_.unlock();
        const size_t taken = hand_over(sink, std::span(batch).first(count));
        mutex_.lock();
        recycle_front(taken);
        done += taken;
        if (taken < count && !ready_again_) blocked_ = true;
        // A sink that calls itself ready and then takes nothing must not keep this going.
        if (taken == 0) ++done;
    }
    delivering_ = false;
    idle_.notify_all();
    return sink_ != nullptr && !blocked_ && !queue_.empty();
}

void FrameDelivery::ready() {
    MutexLock lock(mutex_);
    blocked_ = false;
    ready_again_ = true;
}

void FrameDelivery::set_sink(NetworkSink* sink) {
    MutexLock lock(mutex_);
    sink_ = sink;
    while (delivering_ || telling_ > 0) idle_.wait(mutex_);
    recycle_front(queue_.size());
    blocked_ = false;
}

template <typename Tell>
void FrameDelivery::tell(Tell&& what) {
    MutexLock lock(mutex_);
    if (sink_ == nullptr) return;
    NetworkSink& sink = *sink_;
    ++telling_;
    mutex_.unlock();
    what(sink);
    mutex_.lock();
    --telling_;
    idle_.notify_all();
}

void FrameDelivery::tell_transmit_ready() {
    tell([](NetworkSink& sink) { sink.transmit_ready(); });
}
void FrameDelivery::tell_link(bool up) {
    tell([up](NetworkSink& sink) { sink.link_changed(up); });
}

size_t FrameDelivery::waiting() const {
    MutexLock lock(mutex_);
    return queue_.size();
}

}  // namespace mynah
