#pragma once

#include <cstdint>

#include "backend/display/input_sink.h"
#include "bus/vm_clock.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"

namespace mynah {

// A USB keyboard and a USB tablet, and a person's input on its way to them. To be plugged in by
// the board, and unplugged before this goes. Any thread.
class UsbInput {
  public:
    // The clock must outlive it.
    explicit UsbInput(VmClock& clock) : keyboard_(clock, nullptr), tablet_(clock) {}

    UsbKeyboard& keyboard() { return keyboard_; }
    UsbTablet& tablet() { return tablet_; }
    KeySink& keys() { return keys_; }
    PointerSink& pointer() { return pointer_; }

  private:
    class Keys final : public KeySink {
      public:
        explicit Keys(UsbKeyboard& keyboard) : keyboard_(keyboard) {}
        void key(uint16_t code, bool pressed) override;
        bool listens() const override { return keyboard_.in_use(); }

      private:
        UsbKeyboard& keyboard_;
    };
    class Pointer final : public PointerSink {
      public:
        explicit Pointer(UsbTablet& tablet) : tablet_(tablet) {}
        void move_to(uint16_t x, uint16_t y) override;
        void move_by(int, int) override {}
        void button(PointerButton button, bool pressed) override;
        void wheel(int vertical, int horizontal) override;
        bool absolute() const override { return true; }
        bool listens() const override { return tablet_.in_use(); }

      private:
        UsbTablet& tablet_;
    };

    UsbKeyboard keyboard_;
    UsbTablet tablet_;
    Keys keys_{keyboard_};
    Pointer pointer_{tablet_};
};

}  // namespace mynah
