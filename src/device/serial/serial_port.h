#pragma once

#include <array>
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
// stream only as fast as the guest reads it, and not before somebody there listens, since a driver
// empties the FIFO when it starts: what a script pipes in at once is not lost. Output leaves in
// order, gathered up to the end of a line, kOutputBytes or kOutputDelayNs, because a call of the
// host per character is too dear. Any thread.
class SerialPort final : public IoHandler, private CharacterSink {
  public:
    // All must outlive the port. Becomes the backend's sink.
    SerialPort(VmClock& clock, InterruptLine& irq, CharacterBackend& backend);
    ~SerialPort() override;

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

    static constexpr size_t kOutputBytes = 256;
    static constexpr uint64_t kOutputDelayNs = 1'000'000;
    // Receive interrupts that stay on for so long are a driver's; probing turns them on for less.
    static constexpr uint64_t kListenerNs = 2'000'000;
    // So many reads of the line status without a write in between: software that polls for input.
    static constexpr unsigned kListenerPolls = 64;

  private:
    size_t input_space() override EXCLUDES(mutex_);
    void input(std::span<const std::byte> bytes) override EXCLUDES(mutex_);
    uint8_t read_register(unsigned offset) EXCLUDES(mutex_);
    void write_register(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    void queue_output(uint8_t byte) EXCLUDES(mutex_);
    void flush_output() EXCLUDES(output_mutex_, mutex_);
    void update() REQUIRES(mutex_);
    bool take_want() REQUIRES(mutex_);
    bool listening() const REQUIRES(mutex_);
    void watch_listener() REQUIRES(mutex_);
    void listener_stayed() EXCLUDES(mutex_);
    void timed_out() EXCLUDES(mutex_);

    VmClock& clock_;
    CharacterBackend& backend_;
    LineDriver irq_;
    Mutex output_mutex_;  // orders the calls of the backend; taken before mutex_
    Mutex mutex_;
    Uart16550 chip_ GUARDED_BY(mutex_);
    bool starved_ GUARDED_BY(mutex_) = false;  // the backend found no more space
    bool timeout_armed_ GUARDED_BY(mutex_) = false;
    unsigned status_polls_ GUARDED_BY(mutex_) = 0;
    bool driver_listens_ GUARDED_BY(mutex_) = false;
    bool listen_timer_armed_ GUARDED_BY(mutex_) = false;
    std::array<std::byte, kOutputBytes> output_ GUARDED_BY(mutex_);
    size_t output_count_ GUARDED_BY(mutex_) = 0;
    // Last: their callbacks use everything above.
    std::unique_ptr<VmTimer> timeout_;
    std::unique_ptr<VmTimer> output_timer_;
    std::unique_ptr<VmTimer> listen_timer_;
};

}  // namespace mynah
