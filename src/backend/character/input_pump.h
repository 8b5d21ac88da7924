#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "backend/character/character_backend.h"
#include "base/mutex.h"
#include "host/fd.h"

namespace mynah {

// A thread that reads a descriptor and hands the bytes to a sink, no faster than it takes them.
class InputPump {
  public:
    // What to do with bytes before the sink sees them; on the pump's thread.
    using Filter = std::function<void(std::span<const std::byte> in, std::vector<std::byte>& out)>;
    enum class WhenFull {
        kHoldBack,  // stop reading: nothing is lost
        kDrop,  // keep reading, so that the operator's keys work with a guest that does not listen
    };

    InputPump();
    ~InputPump();
    InputPump(const InputPump&) = delete;
    InputPump& operator=(const InputPump&) = delete;

    // Starts reading `fd`, which must live until stop(). `ended`, if given, is called on the pump's
    // thread at the end of the input (not by stop()).
    void start(int fd, WhenFull when_full, Filter filter = nullptr,
               std::function<void()> ended = nullptr);
    // Waits for the thread. Not from within the sink, the filter or `ended`.
    void stop();

    // As CharacterBackend has them.
    void set_sink(CharacterSink* sink) EXCLUDES(sink_mutex_);
    void input_wanted();
    // Tells the sink that somebody came or left.
    void tell_connected(bool on) EXCLUDES(sink_mutex_);

  private:
    void run();
    bool read_some();
    void deliver() EXCLUDES(sink_mutex_);
    bool wants_to_read() const;

    static constexpr size_t kPendingMax = 4096;

    int fd_ = -1;
    WhenFull when_full_ = WhenFull::kHoldBack;
    Filter filter_;
    std::function<void()> ended_;
    Fd wake_;  // eventfd: look again
    std::atomic<bool> stop_{false};
    std::vector<std::byte> pending_;  // read and not yet taken; the pump's thread only
    Mutex sink_mutex_;                // held while the sink is called
    CharacterSink* sink_ GUARDED_BY(sink_mutex_) = nullptr;
    std::thread thread_;
};

}  // namespace mynah
