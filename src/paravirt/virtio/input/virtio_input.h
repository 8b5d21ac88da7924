#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <string>

#include "backend/display/input_sink.h"
#include "base/mutex.h"
#include "paravirt/virtio/virtio_device.h"
#include "spec/virtio/input.h"

namespace mynah {

// The input device [virtio-1.2 5.8]: events go to the guest in groups that end with SYN_REPORT.
// Groups the guest has no buffers for wait, at most kMaxWaiting events; beyond that whole groups
// are lost, as with any input device. Lights and sounds that the guest sets are taken and
// forgotten.
class VirtioInput : public VirtioDevice {
  public:
    static constexpr uint16_t kQueueSize = 64;
    static constexpr size_t kMaxWaiting = 256;

    uint32_t device_id() const override;
    uint64_t features() const override { return 0; }
    uint16_t queue_count() const override { return 2; }
    uint16_t queue_size_max(uint16_t) const override { return kQueueSize; }
    void read_config(uint64_t offset, std::span<std::byte> to) const override EXCLUDES(mutex_);
    void write_config(uint64_t offset, std::span<const std::byte> from) override EXCLUDES(mutex_);
    void negotiated(uint64_t) override {}
    void serve(VirtioQueue& queue) override EXCLUDES(mutex_);
    void reset() override EXCLUDES(mutex_);

  protected:
    VirtioInput(std::string name, uint16_t product) : name_(std::move(name)), product_(product) {}

    // While the device is made: events of this type and code exist.
    void has(uint16_t type, uint16_t code);
    void has_axis(uint16_t code, const virtio::input::AbsoluteInfo& info);

    // A group of events; SYN_REPORT is added.
    void send(std::initializer_list<virtio::input::Event> events) EXCLUDES(mutex_);
    bool has_driver() const { return has_driver_.load(std::memory_order_relaxed); }

  private:
    static constexpr size_t kTypes = 0x20, kCodes = 0x300, kAxes = 2;  // EV_CNT, KEY_CNT

    void fill_data(virtio::input::Config& config) const;
    void deliver() REQUIRES(mutex_);

    const std::string name_;
    const uint16_t product_;
    std::array<std::bitset<kCodes>, kTypes> codes_;
    std::array<virtio::input::AbsoluteInfo, kAxes> axes_{};
    std::atomic<bool> has_driver_{false};
    mutable Mutex mutex_;  // held while events are put into the queue: they keep their order
    uint8_t select_ GUARDED_BY(mutex_) = 0, subselect_ GUARDED_BY(mutex_) = 0;
    VirtioQueue* queue_ GUARDED_BY(mutex_) = nullptr;  // of the running driver
    std::deque<virtio::input::Event> waiting_ GUARDED_BY(mutex_);
};

class VirtioKeyboard final : public VirtioInput, public KeySink {
  public:
    VirtioKeyboard();
    void key(uint16_t code, bool pressed) override;
    bool listens() const override { return has_driver(); }
};

// A mouse, which knows movements, or a tablet, which knows places.
class VirtioPointer final : public VirtioInput, public PointerSink {
  public:
    enum class Kind : uint8_t { kMouse, kTablet };
    explicit VirtioPointer(Kind kind);

    void move_to(uint16_t x, uint16_t y) override;
    void move_by(int dx, int dy) override;
    void button(PointerButton button, bool pressed) override;
    void wheel(int vertical, int horizontal) override;
    bool absolute() const override { return kind_ == Kind::kTablet; }
    bool listens() const override { return has_driver(); }

  private:
    const Kind kind_;
};

}  // namespace mynah
