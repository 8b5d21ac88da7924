#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/character/character_backend.h"
#include "base/mutex.h"
#include "paravirt/virtio/virtio_queue.h"

namespace mynah {

class VirtioConsole;

// One port of a console device: bytes of the host side wait here, at most kPending of them, until
// the guest has opened the port and offers buffers; the rest is held back by the backend.
class ConsolePort final : public CharacterSink {
  public:
    static constexpr size_t kPending = 4096;

    ConsolePort(VirtioConsole& device, size_t number, CharacterBackend& backend, bool console,
                std::string name);
    ~ConsolePort() override;

    CharacterBackend& backend() { return backend_; }
    bool is_console() const { return console_; }
    const std::string& name() const { return name_; }

    // The guest opened or closed the port.
    void set_open(bool open) EXCLUDES(lock_);
    void serve_receive(VirtioQueue& queue) EXCLUDES(lock_);
    void serve_transmit(VirtioQueue& queue);
    void reset() EXCLUDES(lock_);

    // CharacterSink
    size_t input_space() override EXCLUDES(lock_);
    void input(std::span<const std::byte> bytes) override EXCLUDES(lock_);
    void connected(bool on) override;

  private:
    void deliver() REQUIRES(lock_);

    VirtioConsole& device_;
    const size_t number_;
    CharacterBackend& backend_;
    const bool console_;
    const std::string name_;
    Mutex transmit_lock_;  // output keeps the order of the queue
    // Held while bytes are put into the queue, so that they keep their order.
    Mutex lock_;
    bool open_ GUARDED_BY(lock_) = false;
    VirtioQueue* queue_ GUARDED_BY(lock_) = nullptr;  // of the running driver
    std::vector<std::byte> pending_ GUARDED_BY(lock_);
};

}  // namespace mynah
