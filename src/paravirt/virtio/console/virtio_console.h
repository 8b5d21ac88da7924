#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/character/character_backend.h"
#include "base/mutex.h"
#include "paravirt/virtio/console/console_port.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/console.h"

namespace mynah {

struct VirtioConsolePort {
    CharacterBackend& backend;  // outlives the device
    bool console = true;        // a terminal (/dev/hvcN); false: a channel (/dev/vportNpM)
    std::string name;           // of a channel, as in /dev/virtio-ports; may be empty
};

// The console device [virtio-1.2 5.3]: ports, each a byte stream over a CharacterBackend.
//
// Ports are made known by control messages, to a driver that knows MULTIPORT; any other has port 0.
// What the guest is to be told is kept as one bit for each kind of message and port, so that a
// guest that takes no messages makes nothing grow. Left out: adding and removing ports while a
// driver runs.
class VirtioConsole final : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 128;
    static constexpr size_t kMaxPorts = 31, kMaxName = 255;

    // At least one port, at most kMaxPorts (CHECKed).
    explicit VirtioConsole(const std::vector<VirtioConsolePort>& ports);
    ~VirtioConsole() override;

    uint32_t device_id() const override;
    uint64_t features() const override;
    uint16_t queue_count() const override;
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override;
    void write_config(uint64_t offset, std::span<const std::byte> from) override;
    void negotiated(uint64_t features) override;
    void serve(VirtioQueue& queue) override;
    void reset() override;
    void connect(VirtioDeviceEvents* events) override { events_ = events; }

    // A terminal behind a console has another size now. Any thread.
    void terminal_resized();

  private:
    friend class ConsolePort;
    static constexpr uint32_t message(uint16_t event) { return 1u << event; }

    bool multiport() const {
        return (negotiated_.load(std::memory_order_relaxed) &
                virtio::console::kFeatureMultiport) != 0;
    }
    // Notes messages for the guest and sends what can be sent.
    void tell(size_t port, uint32_t messages) EXCLUDES(control_lock_);
    void send_messages() EXCLUDES(control_lock_);
    bool send_message(VirtioQueue& queue, VirtioQueue::Batch& batch, size_t port, uint16_t event)
        REQUIRES(control_lock_);
    std::vector<std::byte> message_bytes(size_t port, uint16_t event) const
        REQUIRES(control_lock_);
    void take_messages(VirtioQueue& queue);
    void handle(const virtio::console::Control& control);

    std::atomic<uint64_t> negotiated_{0};
    std::atomic<VirtioDeviceEvents*> events_{nullptr};
    Mutex control_lock_;  // held while messages are put into the queue, so that they keep order
    VirtioQueue* control_queue_ GUARDED_BY(control_lock_) = nullptr;
    std::vector<uint32_t> due_ GUARDED_BY(control_lock_);  // messages, by port
    std::vector<std::unique_ptr<ConsolePort>> ports_;
};

}  // namespace mynah
