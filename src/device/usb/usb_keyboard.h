#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "backend/display/input_sink.h"
#include "device/usb/hid_device.h"

namespace mynah {

// A keyboard that speaks the boot protocol's report in both protocols [HID 1.11 B.1]: modifiers,
// six keys, five lights.
class UsbKeyboard final : public HidDevice, public KeySink {
  public:
    // lights: told outside of all locks; may be null.
    UsbKeyboard(VmClock& clock, KeyboardLights* lights);

    void key(uint16_t code, bool pressed) EXCLUDES(mutex_) override;
    bool listens() const EXCLUDES(mutex_) override { return has_driver(); }
    void events(std::span<const HidEvent> batch) EXCLUDES(mutex_) override;
    bool has_work() const EXCLUDES(mutex_) override;
    void perform() EXCLUDES(mutex_) override;

  protected:
    std::vector<uint8_t> current_report() const REQUIRES(mutex_) override;
    std::optional<std::vector<uint8_t>> next_report() REQUIRES(mutex_) override;
    void do_output_report(std::span<const uint8_t> data) REQUIRES(mutex_) override;
    bool takes_output() const override { return true; }
    void forget() REQUIRES(mutex_) override;

  private:
    static constexpr size_t kKeys = 6;
    // A viewer that pastes types faster than reports are fetched.
    static constexpr size_t kMostChanges = 4096;
    struct Change {
        uint8_t usage;
        bool down;
    };
    void take_change() REQUIRES(mutex_);
    void press(uint8_t usage) REQUIRES(mutex_);
    void release(uint8_t usage) REQUIRES(mutex_);

    KeyboardLights* const lights_;
    std::deque<Change> queue_ GUARDED_BY(mutex_);  // not yet told
    uint8_t modifiers_ GUARDED_BY(mutex_) = 0;
    std::vector<uint8_t> pressed_ GUARDED_BY(mutex_);  // usages, in the order they went down
    std::bitset<256> down_ GUARDED_BY(mutex_);         // usages, told or not
    uint8_t lit_ GUARDED_BY(mutex_) = 0;
    bool tell_lights_ GUARDED_BY(mutex_) = false;
};

// The usage of a key on the keyboard page [HUT 1.22 10]; 0: it has none. code: KEY_... of evdev.
uint8_t keyboard_usage(uint16_t code);

}  // namespace mynah
