#pragma once

#include <utility>

#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "device/network/transmit_batch.h"

namespace mynah {

// Takes what a chip sends to its backend, in order, with no device lock held while the backend
// works; frames wait here while it cannot take them. Any thread.
class FrameSender {
  public:
    explicit FrameSender(NetworkBackend& backend) : backend_(backend) {}

    // fetch(batch): takes the device's lock and lets the chip fill the empty batch; false: it has
    // nothing more to send. Several threads: one after another, so that each does what its own
    // bell asked for and none works for the others without end.
    template <typename Fetch>
    void run(Fetch&& fetch) EXCLUDES(mutex_) {
        MutexLock order(mutex_);
        // The chip's ring is no longer than this; what is left then has its bell still to ring.
        for (unsigned rounds = 0; rounds < kMostRounds && flush(); ++rounds) {
            const bool more = fetch(batch_);
            if (!more) {
                (void)flush();
                return;
            }
        }
    }
    // The card was reset: what waits is lost.
    void drop() EXCLUDES(mutex_) {
        MutexLock order(mutex_);
        batch_.drop_front(TransmitBatch::kMostFrames);
    }

  private:
    // False: the backend is full and says when it is not.
    bool flush() REQUIRES(mutex_) {
        if (batch_.empty()) return true;
        batch_.drop_front(backend_.transmit(batch_.frames()));
        return batch_.empty();
    }

    static constexpr unsigned kMostRounds = 1 << 16;

    NetworkBackend& backend_;
    Mutex mutex_;  // orders the calls of the backend; taken before the device's lock
    TransmitBatch batch_ GUARDED_BY(mutex_);
};

}  // namespace mynah
