#include "device/input/keyboard_controller.h"

#include <algorithm>

namespace mynah {

KeyboardController::KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20,
                                       PowerSink& power)
    : KeyboardController(irq1, irq12, a20, power, nullptr) {}

KeyboardController::KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20,
                                       PowerSink& power, VmClock& clock)
    : KeyboardController(irq1, irq12, a20, power, &clock) {}

KeyboardController::KeyboardController(InterruptLine& irq1, InterruptLine& irq12, A20Gate& a20,
                                       PowerSink& power, VmClock* clock)
    : irq1_(irq1),
      irq12_(irq12),
      a20_(a20),
      power_(power),
      clock_(clock),
      chip_(clock != nullptr ? &keyboard_ : nullptr, clock != nullptr ? &mouse_ : nullptr),
      data_port_(*this, &KeyboardController::read_data, &KeyboardController::write_data),
      command_port_(*this, &KeyboardController::read_command, &KeyboardController::write_command) {
    if (clock != nullptr) timer_ = clock->create_timer([this] { timer_fired(); });
}

// Whatever happened: devices send if they may, the lines follow, the timer knows what comes next.
void KeyboardController::update() {
    uint64_t wake = Ps2Keyboard::kNever;
    if (clock_ != nullptr) {
        if (chip_.can_load() && now() >= next_byte_ns_) chip_.load();
        if (chip_.can_load()) wake = next_byte_ns_;
        wake = std::min(wake, keyboard_.repeat_deadline());
    }
    irq1_.want(chip_.keyboard_interrupt());
    irq12_.want(chip_.aux_interrupt());
    if (timer_ == nullptr) return;
    if (wake != Ps2Keyboard::kNever) {
        timer_->arm(wake);
    } else {
        timer_->disarm();
    }
}

void KeyboardController::timer_fired() {
    {
        MutexLock lock(mutex_);
        keyboard_.repeat(now());
        update();
    }
    perform({});
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
        const bool was_full = (chip_.read_status() & 1) != 0;
        value = chip_.read_data();
        if (was_full) next_byte_ns_ = now() + kByteNs;
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
        next_byte_ns_ = 0;  // who sends a command waits for its answer
        update();
    }
    perform(action);
}

uint8_t KeyboardController::read_command(unsigned) {
    uint8_t status;
    bool loads;
    {
        MutexLock lock(mutex_);
        // Who polls need not wait until the clock's thread gets to run.
        loads = clock_ != nullptr && chip_.can_load() && now() >= next_byte_ns_;
        if (loads) update();
        status = chip_.read_status();
    }
    if (loads) perform({});
    return status;
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
        keyboard_.reset();
        mouse_.reset();
        next_byte_ns_ = 0;
        update();
    }
    perform({});
}

uint8_t KeyboardController::leds() {
    MutexLock lock(mutex_);
    return keyboard_.leds();
}

// --- Input.

void KeyboardController::Keys::key(uint16_t code, bool pressed) {
    {
        MutexLock lock(controller_.mutex_);
        controller_.keyboard_.key(code, pressed, controller_.now());
        controller_.update();
    }
    controller_.perform({});
}

bool KeyboardController::Keys::listens() const {
    MutexLock lock(controller_.mutex_);
    return controller_.keyboard_.scanning();
}

void KeyboardController::Pointer::move_by(int dx, int dy) {
    {
        MutexLock lock(controller_.mutex_);
        controller_.mouse_.move(dx, dy);
        controller_.update();
    }
    controller_.perform({});
}

void KeyboardController::Pointer::button(PointerButton button, bool pressed) {
    {
        MutexLock lock(controller_.mutex_);
        controller_.mouse_.button(button, pressed);
        controller_.update();
    }
    controller_.perform({});
}

void KeyboardController::Pointer::wheel(int vertical, int) {
    {
        MutexLock lock(controller_.mutex_);
        controller_.mouse_.wheel(vertical);
        controller_.update();
    }
    controller_.perform({});
}

bool KeyboardController::Pointer::listens() const {
    MutexLock lock(controller_.mutex_);
    return controller_.mouse_.reporting();
}

}  // namespace mynah
