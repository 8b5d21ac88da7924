#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "bus/bell.h"
#include "engine/engine.h"
#include "host/event_fd.h"

namespace mynah {

// Doorbells that an engine hears itself: it signals an eventfd, and a thread of ours makes the
// write that the processor did not have to wait for. What an engine does not take comes by the
// ordinary way. Any thread.
class BellRinger final : public BellListener {
  public:
    BellRinger() = default;
    ~BellRinger() override { stop(); }
    BellRinger(const BellRinger&) = delete;
    BellRinger& operator=(const BellRinger&) = delete;

    // The processors' engine from here on; null: none. No processor runs.
    void use(Engine* engine) EXCLUDES(mutex_);
    // Before the devices go: no handler is called any more.
    void stop() EXCLUDES(mutex_);
    // How many bells the engine has taken, and how often they rang.
    uint64_t rings() const { return rings_.load(std::memory_order_relaxed); }

    void bells_placed(Space space, uint64_t start, IoHandler& handler,
                      std::span<const Bell> bells) override EXCLUDES(mutex_);
    void bells_withdrawn(IoHandler& handler) override { take_down(handler, true); }
    void bells_forgotten(IoHandler& handler) override { take_down(handler, false); }

  private:
    struct Placed {
        Bell bell;
        IoHandler* handler;
        Engine::BellPlace place;
        std::optional<EventFd> rung = std::nullopt;  // the engine has it
    };
    void take_down(IoHandler& handler, bool hear) EXCLUDES(mutex_);
    void give(uint64_t id, Placed& bell) REQUIRES(mutex_);
    void take(Placed& bell) REQUIRES(mutex_);
    void ring(const Placed& bell);
    bool ready() REQUIRES(mutex_);
    void run() EXCLUDES(mutex_);
    void hear(uint64_t id) EXCLUDES(mutex_);

    Mutex mutex_;
    Engine* engine_ GUARDED_BY(mutex_) = nullptr;
    std::map<uint64_t, Placed> bells_ GUARDED_BY(mutex_);  // by number
    uint64_t next_ GUARDED_BY(mutex_) = 1;
    IoHandler* called_ GUARDED_BY(mutex_) = nullptr;  // by the thread, now
    std::condition_variable_any idle_;
    std::atomic<uint64_t> rings_{0};
    Fd epoll_;
    EventFd stop_;
    std::thread thread_;  // once there is something to hear
};

}  // namespace mynah
