#pragma once

#include <utility>
#include <vector>

#include "base/mutex.h"
#include "bus/msi_sink.h"

namespace mynah::testing {

// Keeps the messages that devices send. Any thread.
class RecordingMsiSink final : public MsiSink {
 public:
    void send(MsiMessage message) override {
        MutexLock lock(mutex_);
        messages_.push_back(message);
    }
    // What came since the last call.
    std::vector<MsiMessage> take() {
        MutexLock lock(mutex_);
        return std::exchange(messages_, {});
    }

 private:
    Mutex mutex_;
    std::vector<MsiMessage> messages_ GUARDED_BY(mutex_);
};

}  // namespace mynah::testing
