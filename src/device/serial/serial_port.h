#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "backend/character/character_backend.h"
#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/io_handler.h"
#include "bus/line_driver.h"
#include "bus/vm_clock.h"
#include "device/serial/uart16550.h"

namespace mynah {

// Puts a Uart16550 between a port range of eight bytes and a byte stream. Input is taken from the
// stream only as fast as the guest reads it. Bytes leave one call each, in order. Any thread.
class SerialPort final : public IoHandler, private CharacterSink {
 public:
    // All must outlive the port. Becomes the backend's sink.
    SerialPort(VmClock& clock, InterruptLine& irq, CharacterBackend& backend);
    ~SerialPort() override;

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

 private:
    size_t input_space() override EXCLUDES(mutex_);
    void input(std::span<const std::byte> bytes) override EXCLUDES(mutex_);
    uint8_t read_register(unsigned offset) EXCLUDES(mutex_);
    void write_register(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    void update() REQUIRES(mutex_);
    void timed_out() EXCLUDES(mutex_);

    VmClock& clock_;
    CharacterBackend& backend_;
    LineDriver irq_;
    Mutex mutex_;
    Uart16550 chip_ GUARDED_BY(mutex_);
    bool starved_ GUARDED_BY(mutex_) = false;  // the backend was told there is no space
    bool timeout_armed_ GUARDED_BY(mutex_) = false;
    std::unique_ptr<VmTimer> timeout_;  // last: its callback uses everything above
};

}  // namespace mynah
