#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <thread>

#include "backend/network/frame_delivery.h"
#include "host/fd.h"

namespace mynah {

// The thread of a backend that has one descriptor to wait for: reads while the card has room, and
// says when the descriptor takes more after it was full. What is read how is the owner's.
class DescriptorWatch {
  public:
    struct Owner {
        // Readable: fetches some, and pushes them to the delivery.
        std::function<void()> fetch;
        // Writable again after want_write(). The delivery's sink is told afterwards.
        std::function<void()> writable;
        // Every so often while there is no descriptor: what poll_without() asked for.
        std::function<void()> retry;
    };
    DescriptorWatch() = default;
    ~DescriptorWatch() { stop(); }
    DescriptorWatch(const DescriptorWatch&) = delete;
    DescriptorWatch& operator=(const DescriptorWatch&) = delete;

    bool start(FrameDelivery& delivery, Owner owner);
    void stop();
    // The descriptor to wait for; -1: none. Any thread, also from within the owner's functions.
    void set_fd(int fd);
    // The descriptor was full. Any thread.
    void want_write();
    // As NetworkBackend has it.
    void receive_ready();

  private:
    void run();
    void wait_once();
    void wake();

    static constexpr int kRetryMs = 500;
    // How many frames a thread that is not ours hands over before it leaves the rest to ours.
    static constexpr size_t kGuestThreadLimit = 128;

    FrameDelivery* delivery_ = nullptr;
    Owner owner_;
    Fd wake_;
    std::atomic<int> fd_{-1};
    std::atomic<bool> want_write_{false};
    std::atomic<bool> throttled_{false};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace mynah
