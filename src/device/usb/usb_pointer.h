#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "backend/display/input_sink.h"
#include "device/usb/hid_device.h"

namespace mynah {

// What mouse and tablet have in common: five buttons, and reports that say where the pointer went.
// Reports that the guest has not fetched are merged as long as no button changed between them.
class UsbPointer : public HidDevice, public PointerSink {
  public:
    void move_to(uint16_t x, uint16_t y) EXCLUDES(mutex_) override;
    void move_by(int dx, int dy) EXCLUDES(mutex_) override;
    void button(PointerButton button, bool pressed) EXCLUDES(mutex_) override;
    void wheel(int vertical, int horizontal) EXCLUDES(mutex_) override;
    bool listens() const EXCLUDES(mutex_) override { return has_driver(); }
    void events(std::span<const HidEvent> batch) EXCLUDES(mutex_) override;

  protected:
    using HidDevice::HidDevice;

    struct State {
        uint8_t buttons = 0;         // bits: left, right, middle, side, extra
        int32_t x = 0, y = 0;        // absolute, or what is left to tell
        int32_t wheel = 0, pan = 0;  // what is left to tell
    };
    virtual std::vector<uint8_t> report(const State& state) const REQUIRES(mutex_) = 0;
    // Takes what fits into a report off the state; true if something is left for the next.
    virtual bool take_report(State& state) const REQUIRES(mutex_) = 0;

    std::vector<uint8_t> current_report() const REQUIRES(mutex_) override;
    std::optional<std::vector<uint8_t>> next_report() REQUIRES(mutex_) override;
    void forget() REQUIRES(mutex_) override;

  private:
    bool apply(const HidEvent& event, State& to) const;
    void keep(const State& state) REQUIRES(mutex_);

    std::deque<State> queue_ GUARDED_BY(mutex_);  // not yet fetched, oldest first
    State last_ GUARDED_BY(mutex_);               // the newest state, told or not
};

// A mouse with a wheel. The boot protocol has three buttons and no wheel [HID 1.11 B.2].
class UsbMouse final : public UsbPointer {
  public:
    explicit UsbMouse(VmClock& clock);

    bool absolute() const override { return false; }

  protected:
    std::vector<uint8_t> report(const State& state) const REQUIRES(mutex_) override;
    bool take_report(State& state) const REQUIRES(mutex_) override;
};

// A pointer that says where it is on the screen rather than how it moved, so that the guest's
// pointer and the viewer's agree.
class UsbTablet final : public UsbPointer {
  public:
    explicit UsbTablet(VmClock& clock);

    bool absolute() const override { return true; }

  protected:
    std::vector<uint8_t> report(const State& state) const REQUIRES(mutex_) override;
    bool take_report(State& state) const REQUIRES(mutex_) override;
};

}  // namespace mynah
