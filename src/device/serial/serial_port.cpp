#include "device/serial/serial_port.h"

#include <algorithm>
#include <optional>

#include "device/serial/uart16550_registers.h"

namespace mynah {

SerialPort::SerialPort(VmClock& clock, InterruptLine& irq, CharacterBackend& backend)
    : clock_(clock),
      backend_(backend),
      irq_(irq),
      timeout_(clock.create_timer([this] { timed_out(); })),
      output_timer_(clock.create_timer([this] { flush_output(); })),
      listen_timer_(clock.create_timer([this] { listener_stayed(); })) {
    backend_.set_sink(this);
}

SerialPort::~SerialPort() {
    backend_.set_sink(nullptr);
    timeout_.reset();
    output_timer_.reset();
    listen_timer_.reset();
    flush_output();
}

// Line and time-out follow the chip's state.
void SerialPort::update() {
    irq_.want(chip_.interrupt());
    if (chip_.wants_timeout()) {
        timeout_->arm(clock_.now_ns() + 4 * chip_.character_ns());
        timeout_armed_ = true;
    } else if (timeout_armed_) {
        timeout_->disarm();
        timeout_armed_ = false;
    }
}

void SerialPort::timed_out() {
    {
        MutexLock lock(mutex_);
        timeout_armed_ = false;
        chip_.receive_timeout();
        irq_.want(chip_.interrupt());
    }
    irq_.flush();
}

// --- Input.

size_t SerialPort::input_space() {
    MutexLock lock(mutex_);
    const size_t space = listening() ? chip_.receive_space() : 0;
    if (space == 0) starved_ = true;
    return space;
}

void SerialPort::input(std::span<const std::byte> bytes) {
    {
        MutexLock lock(mutex_);
        for (const std::byte byte : bytes) chip_.receive(static_cast<uint8_t>(byte));
        if (chip_.receive_space() == 0) starved_ = true;
        update();
    }
    irq_.flush();
}

bool SerialPort::listening() const { return driver_listens_ || status_polls_ >= kListenerPolls; }

// After every register write. A driver that listens goes on doing so, also while it turns receive
// interrupts off for a moment to print, until it disconnects the interrupt.
void SerialPort::watch_listener() {
    if (!chip_.interrupts_connected()) driver_listens_ = false;
    const bool wait = !driver_listens_ && chip_.receive_interrupts();
    if (wait && !listen_timer_armed_) listen_timer_->arm(clock_.now_ns() + kListenerNs);
    if (!wait && listen_timer_armed_) listen_timer_->disarm();
    listen_timer_armed_ = wait;
}

void SerialPort::listener_stayed() {
    bool wanted;
    {
        MutexLock lock(mutex_);
        if (!listen_timer_armed_) return;
        listen_timer_armed_ = false;
        driver_listens_ = true;
        wanted = take_want();
    }
    if (wanted) backend_.input_wanted();
}

// True once when the backend is to be asked for more: when the FIFO is empty, so that bytes come
// many at a time.
bool SerialPort::take_want() {
    if (!starved_ || !listening() || !chip_.receive_empty() || chip_.receive_space() == 0)
        return false;
    starved_ = false;
    return true;
}

// --- Output.

void SerialPort::queue_output(uint8_t byte) {
    bool full;
    do {
        bool flush;
        {
            MutexLock lock(mutex_);
            full = output_count_ == output_.size();
            if (!full) output_[output_count_++] = static_cast<std::byte>(byte);
            flush = byte == '\n' || output_count_ == output_.size();
            if (!flush && output_count_ == 1) output_timer_->arm(clock_.now_ns() + kOutputDelayNs);
        }
        if (flush) flush_output();
    } while (full);
}

void SerialPort::flush_output() {
    MutexLock order(output_mutex_);
    std::array<std::byte, kOutputBytes> bytes;
    size_t count;
    {
        MutexLock lock(mutex_);
        count = output_count_;
        std::copy_n(output_.begin(), count, bytes.begin());
        output_count_ = 0;
    }
    if (count > 0) backend_.output(std::span(bytes).first(count));
}

// --- Registers.

uint8_t SerialPort::read_register(unsigned offset) {
    uint8_t value;
    bool wanted;
    {
        MutexLock lock(mutex_);
        value = chip_.read(offset);
        if (offset == uart::kLsr && status_polls_ < kListenerPolls) ++status_polls_;
        // Reading status changes no time-out; polling it must be cheap.
        if (offset == uart::kData) {
            update();
        } else {
            irq_.want(chip_.interrupt());
        }
        wanted = take_want();
    }
    irq_.flush();
    if (wanted) backend_.input_wanted();
    return value;
}

void SerialPort::write_register(unsigned offset, uint8_t value) {
    std::optional<uint8_t> sent;
    bool wanted;
    {
        MutexLock lock(mutex_);
        sent = chip_.write(offset, value);
        status_polls_ = 0;
        watch_listener();
        update();
        wanted = take_want();
    }
    if (sent) queue_output(*sent);
    irq_.flush();
    if (wanted) backend_.input_wanted();
}

uint64_t SerialPort::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value |= uint64_t{read_register(static_cast<unsigned>(offset) + i)} << (8 * i);
    }
    return value;
}

void SerialPort::write(uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; ++i) {
        write_register(static_cast<unsigned>(offset) + i, static_cast<uint8_t>(value >> (8 * i)));
    }
}

void SerialPort::reset() {
    bool wanted;
    {
        MutexLock lock(mutex_);
        chip_.reset();
        status_polls_ = 0;
        watch_listener();
        update();
        wanted = take_want();
    }
    irq_.flush();
    if (wanted) backend_.input_wanted();
}

}  // namespace mynah
