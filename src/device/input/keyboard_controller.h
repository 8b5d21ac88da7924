#pragma once

#include <cstdint>
#include <memory>

#include "backend/display/input_sink.h"
#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "bus/vm_clock.h"
#include "device/chipset/a20_gate.h"
#include "device/chipset/power_sink.h"
#include "device/input/i8042.h"
#include "device/input/ps2_keyboard.h"
#include "device/input/ps2_mouse.h"

namespace mynah {

// Puts an I8042 into a PC: data and command port, interrupt requests 1 and 12, the reset pulse
// and its half of the A20 gate; and, if there is a clock, a keyboard and a mouse at it. Any thread.
class KeyboardController {
  public:
    // Without keyboard and mouse.
    KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20, PowerSink& power);
    // With both.
    KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20, PowerSink& power,
                       VmClock& clock);

    IoHandler& data_port() { return data_port_; }        // one port, 60h on a PC
    IoHandler& command_port() { return command_port_; }  // one port, 64h
    // Where a person's keys and movements go.
    KeySink& keys() { return keys_; }
    PointerSink& pointer() { return pointer_; }
    // Bit 0: Scroll Lock, 1: Num Lock, 2: Caps Lock.
    uint8_t leds() EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

    // A byte of a device follows one that was read after this time at the earliest. On the wire it
    // is a millisecond; programs that read the data port twice in one interrupt, as handlers that
    // call the BIOS's do, expect the same byte.
    static constexpr uint64_t kByteNs = 250'000;

  private:
    class Keys final : public KeySink {
      public:
        explicit Keys(KeyboardController& controller) : controller_(controller) {}
        void key(uint16_t code, bool pressed) override;
        bool listens() const override;

      private:
        KeyboardController& controller_;
    };
    class Pointer final : public PointerSink {
      public:
        explicit Pointer(KeyboardController& controller) : controller_(controller) {}
        void move_to(uint16_t, uint16_t) override {}
        void move_by(int dx, int dy) override;
        void button(PointerButton button, bool pressed) override;
        void wheel(int vertical, int horizontal) override;
        bool absolute() const override { return false; }
        bool listens() const override;

      private:
        KeyboardController& controller_;
    };

    KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20, PowerSink& power,
                       VmClock* clock);
    uint8_t read_data(unsigned offset) EXCLUDES(mutex_);
    void write_data(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint8_t read_command(unsigned offset) EXCLUDES(mutex_);
    void write_command(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint64_t now() const { return clock_ != nullptr ? clock_->now_ns() : 0; }
    void update() REQUIRES(mutex_);
    void timer_fired() EXCLUDES(mutex_);
    void perform(I8042::Action action) EXCLUDES(mutex_);

    LineDriver irq1_, irq12_;
    A20Gate& a20_;
    PowerSink& power_;
    VmClock* const clock_;
    mutable Mutex mutex_;
    Ps2Keyboard keyboard_ GUARDED_BY(mutex_);
    Ps2Mouse mouse_ GUARDED_BY(mutex_);
    I8042 chip_ GUARDED_BY(mutex_);
    uint64_t next_byte_ns_ GUARDED_BY(mutex_) = 0;
    ByteWindow<KeyboardController> data_port_, command_port_;
    Keys keys_{*this};
    Pointer pointer_{*this};
    // Last: its callback uses everything above.
    std::unique_ptr<VmTimer> timer_;
};

}  // namespace mynah
