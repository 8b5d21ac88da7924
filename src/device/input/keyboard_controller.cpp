#include "device/input/keyboard_controller.h"

namespace mynah {

KeyboardController::KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20,
                                       PowerSink& power)
    : irq1_(irq1),
      irq12_(irq12),
      a20_(a20),
      power_(power),
      data_port_(*this, &KeyboardController::read_data, &KeyboardController::write_data),
      command_port_(*this, &KeyboardController::read_command,
                    &KeyboardController::write_command) {}

void KeyboardController::update() {
    irq1_.want(chip_.keyboard_interrupt());
    irq12_.want(chip_.aux_interrupt());
}

void KeyboardController::perform(I8042::Action action) {
    irq1_.flush();
    irq12_.flush();
    if (action.set_a20) a20_.set(A20Gate::kKeyboardController, action.a20);
    if (action.reset) power_.reset();
}

uint8_t KeyboardController::read_data(unsigned) {
    uint8_t value;
    {
        MutexLock lock(mutex_);
        value = chip_.read_data();
        update();
    }
    perform({});
    return value;
}

void KeyboardController::write_data(unsigned, uint8_t value) {
    I8042::Action action;
    {
        MutexLock lock(mutex_);
        action = chip_.write_data(value);
        update();
    }
    perform(action);
}

uint8_t KeyboardController::read_command(unsigned) {
    MutexLock lock(mutex_);
    return chip_.read_status();
}

void KeyboardController::write_command(unsigned, uint8_t value) {
    const bool a20 = a20_.enabled();
    I8042::Action action;
    {
        MutexLock lock(mutex_);
        chip_.set_a20(a20);
        action = chip_.write_command(value);
        update();
    }
    perform(action);
}

void KeyboardController::reset() {
    {
        MutexLock lock(mutex_);
        chip_.reset();
        update();
    }
    perform({});
}

}  // namespace mynah
