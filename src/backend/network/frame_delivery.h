#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "backend/network/network_backend.h"
#include "base/mutex.h"

namespace mynah {

// Frames on their way from a backend to its sink: in order, kept back while the sink has no room,
// handed over by one thread at a time with no lock held. Any thread.
class FrameDelivery {
  public:
    // So many frames wait at most; further ones are dropped, as a full switch would.
    static constexpr size_t kMostWaiting = 4096;
    // From here on the backend should stop fetching, so that nothing has to be dropped.
    static constexpr size_t kEnough = 256;

    // Copies. False: dropped, as nobody is there or too many wait.
    bool push(std::span<const std::byte> frame, const FrameOffload& offload = {}) EXCLUDES(mutex_);
    // Hands over what waits, at most about `limit` frames. True: more could be handed over, and
    // nobody is doing it.
    [[nodiscard]] bool deliver(size_t limit) EXCLUDES(mutex_);
    // The sink has room again; deliver() is to follow.
    void ready() EXCLUDES(mutex_);
    void set_sink(NetworkSink* sink) EXCLUDES(mutex_);
    // Tells the sink, if there is one. Not from within a call of the sink.
    void tell_transmit_ready() EXCLUDES(mutex_);
    void tell_link(bool up) EXCLUDES(mutex_);

    size_t waiting() const EXCLUDES(mutex_);

  private:
    struct Entry {
        std::vector<std::byte> bytes;
        FrameOffload offload;
    };
    size_t hand_over(NetworkSink& sink, std::span<Entry* const> batch);
    void recycle_front(size_t count) REQUIRES(mutex_);
    template <typename Tell>
    void tell(Tell&& what) EXCLUDES(mutex_);

    static constexpr size_t kBatch = 32;
    static constexpr size_t kSpares = 64;

    mutable Mutex mutex_;
    std::condition_variable_any idle_;  // nobody calls the sink any more
    NetworkSink* sink_ GUARDED_BY(mutex_) = nullptr;
    std::deque<std::unique_ptr<Entry>> queue_ GUARDED_BY(mutex_);
    std::vector<std::unique_ptr<Entry>> spares_ GUARDED_BY(mutex_);
    bool delivering_ GUARDED_BY(mutex_) = false;
    bool blocked_ GUARDED_BY(mutex_) = false;      // the sink has no room
    bool ready_again_ GUARDED_BY(mutex_) = false;  // ready() came while the sink was called
    unsigned telling_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
