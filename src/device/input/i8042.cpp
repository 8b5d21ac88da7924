#include "device/input/i8042.h"

#include "device/input/i8042_registers.h"
#include "device/input/scan_codes.h"

namespace mynah {

namespace config_bits = i8042::config;
using i8042::Command;

namespace {

constexpr uint8_t code(Command command) { return static_cast<uint8_t>(command); }

// Input port [8042]: keyboard not locked, colour display.
constexpr uint8_t kInputPort = 0x80;

// Before the code of a key that came up, in sets 2 and 3.
constexpr uint8_t kBreakPrefix = 0xf0;

}  // namespace

void I8042::reset() { *this = I8042(keyboard_, mouse_); }

void I8042::set_a20(bool enabled) {
    output_port_ = static_cast<uint8_t>(enabled ? output_port_ | i8042::output_port::kA20
                                                : output_port_ & ~i8042::output_port::kA20);
}

bool I8042::full() const { return (status_ & i8042::status::kOutputFull) != 0; }

bool I8042::keyboard_may_send() const {
    return keyboard_ != nullptr && (config() & config_bits::kKeyboardDisable) == 0 &&
           keyboard_->has_byte();
}

bool I8042::mouse_may_send() const {
    return mouse_ != nullptr && (config() & config_bits::kAuxDisable) == 0 && mouse_->has_byte();
}

bool I8042::can_load() const {
    return !full() && (displaced_ || keyboard_may_send() || mouse_may_send());
}

void I8042::load() {
    if (full()) return;
    if (displaced_) {
        fill(displaced_->value, displaced_->aux, false);
        displaced_.reset();
        from_device_ = true;
        return;
    }
    // A prefix that translation swallows is followed by the code it belongs to, or by nothing yet.
    while (keyboard_may_send()) {
        const uint8_t byte = keyboard_->take_byte();
        uint8_t code = byte;
        if ((config() & config_bits::kTranslate) != 0) {
            if (byte == kBreakPrefix) {
                break_ = 0x80;
                continue;
            }
            code = static_cast<uint8_t>(translate_to_set1(byte) | break_);
            break_ = 0;
        }
        fill(code, false, false);
        from_device_ = true;
        return;
    }
    if (mouse_may_send()) {
        fill(mouse_->take_byte(), true, false);
        from_device_ = true;
    }
}

void I8042::answer(uint8_t byte, bool aux, bool timed_out) {
    if (full() && from_device_) {
        displaced_ = Byte{output_, (status_ & i8042::status::kAuxiliary) != 0};
    }
    fill(byte, aux, timed_out);
    from_device_ = false;
}

// Nobody there: the byte times out.
void I8042::send_to(Ps2Device* device, uint8_t value, bool aux) {
    if (device != nullptr) {
        device->receive(value);
    } else {
        answer(i8042::kResend, aux, true);
    }
}

void I8042::fill(uint8_t byte, bool aux, bool timed_out) {
    output_ = byte;
    status_ &= static_cast<uint8_t>(~(i8042::status::kAuxiliary | i8042::status::kTimeout));
    status_ |= i8042::status::kOutputFull;
    if (aux) status_ |= i8042::status::kAuxiliary;
    if (timed_out) status_ |= i8042::status::kTimeout;
}

uint8_t I8042::read_data() {
    status_ &= static_cast<uint8_t>(~i8042::status::kOutputFull);
    return output_;
}

// The input buffer is never full: commands are done when they are written.
uint8_t I8042::read_status() const { return status_; }

bool I8042::keyboard_interrupt() const {
    const uint8_t full = status_ & (i8042::status::kOutputFull | i8042::status::kAuxiliary);
    return full == i8042::status::kOutputFull && (config() & config_bits::kKeyboardInterrupt) != 0;
}

bool I8042::aux_interrupt() const {
    const uint8_t both = i8042::status::kOutputFull | i8042::status::kAuxiliary;
    return (status_ & both) == both && (config() & config_bits::kAuxInterrupt) != 0;
}

I8042::Action I8042::write_output_port(uint8_t value) {
    output_port_ = value;
    Action action;
    action.reset = (value & i8042::output_port::kNotReset) == 0;
    action.set_a20 = true;
    action.a20 = (value & i8042::output_port::kA20) != 0;
    // The reset pin is an input of the machine, which comes back with the bit set.
    output_port_ |= i8042::output_port::kNotReset;
    return action;
}

I8042::Action I8042::write_command(uint8_t value) {
    status_ |= i8042::status::kCommand;
    expecting_ = 0;
    if (value >= code(Command::kPulse)) {
        Action action;
        action.reset = (value & 1) == 0;
        return action;
    }
    if (value >= code(Command::kReadMemory) && value < code(Command::kReadMemory) + 0x20) {
        answer(memory_[value & 0x1f]);
        return {};
    }
    if (value >= code(Command::kWriteMemory) && value < code(Command::kWriteMemory) + 0x20) {
        expecting_ = value;
        return {};
    }
    switch (static_cast<Command>(value)) {
        case Command::kDisableAux:
            config() |= config_bits::kAuxDisable;
            break;
        case Command::kEnableAux:
            config() &= static_cast<uint8_t>(~config_bits::kAuxDisable);
            break;
        case Command::kDisableKeyboard:
            config() |= config_bits::kKeyboardDisable;
            break;
        case Command::kEnableKeyboard:
            config() &= static_cast<uint8_t>(~config_bits::kKeyboardDisable);
            break;
        case Command::kTestAux:
            answer(mouse_ != nullptr ? i8042::kInterfaceGood : i8042::kClockStuckLow);
            break;
        case Command::kTestKeyboard:
            answer(i8042::kInterfaceGood);
            break;
        case Command::kSelfTest:
            status_ |= i8042::status::kSystem;
            config() |= config_bits::kKeyboardDisable;
            displaced_.reset();
            from_device_ = false;
            answer(i8042::kSelfTestPassed);
            break;
        case Command::kReadInputPort:
            answer(kInputPort);
            break;
        case Command::kReadOutputPort:
            answer(output_port_);
            break;
        case Command::kWriteOutputPort:
        case Command::kWriteKeyboardOutput:
        case Command::kWriteAuxOutput:
        case Command::kWriteAux:
            expecting_ = value;
            break;
        default:
            break;  // unknown commands do nothing
    }
    return {};
}

I8042::Action I8042::write_data(uint8_t value) {
    status_ &= static_cast<uint8_t>(~i8042::status::kCommand);
    const uint8_t command = expecting_;
    expecting_ = 0;
    if (command >= code(Command::kWriteMemory) && command < code(Command::kWriteMemory) + 0x20) {
        memory_[command & 0x1f] = value;
        if (command == code(Command::kWriteMemory)) {
            status_ = static_cast<uint8_t>((status_ & ~i8042::status::kSystem) |
                                           (value & config_bits::kSystem));
        }
        return {};
    }
    switch (static_cast<Command>(command)) {
        case Command::kWriteOutputPort:
            return write_output_port(value);
        case Command::kWriteKeyboardOutput:
            answer(value);
            break;
        case Command::kWriteAuxOutput:
            answer(value, true);
            break;
        case Command::kWriteAux:
            config() &= static_cast<uint8_t>(~config_bits::kAuxDisable);
            send_to(mouse_, value, true);
            break;
        default:
            // For the keyboard; sending re-enables its interface.
            config() &= static_cast<uint8_t>(~config_bits::kKeyboardDisable);
            send_to(keyboard_, value, false);
            break;
    }
    return {};
}

}  // namespace mynah
