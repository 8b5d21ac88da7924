#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "device/chipset/a20_gate.h"
#include "device/chipset/power_sink.h"
#include "device/input/i8042.h"

namespace mynah {

// Puts an I8042 into a PC: data and command port, interrupt requests 1 and 12, the reset pulse
// and its half of the A20 gate. Any thread.
class KeyboardController {
 public:
    KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20, PowerSink& power);

    IoHandler& data_port() { return data_port_; }        // one port, 60h on a PC
    IoHandler& command_port() { return command_port_; }  // one port, 64h
    void reset() EXCLUDES(mutex_);

 private:
    uint8_t read_data(unsigned offset) EXCLUDES(mutex_);
    void write_data(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint8_t read_command(unsigned offset) EXCLUDES(mutex_);
    void write_command(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    void update() REQUIRES(mutex_);
    void perform(I8042::Action action) EXCLUDES(mutex_);

    LineDriver irq1_, irq12_;
    A20Gate& a20_;
    PowerSink& power_;
    Mutex mutex_;
    I8042 chip_ GUARDED_BY(mutex_);
    ByteWindow<KeyboardController> data_port_, command_port_;
};

}  // namespace mynah
