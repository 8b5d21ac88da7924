#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace mynah {

// The 16550A UART, after National Semiconductor PC16550D [16550].
// Modelled: all registers, both FIFOs, divisor latch, loopback, every interrupt with its
// priority and way of being cleared, overrun and break.
// Left out: the time a byte takes on the wire (a byte written is sent at once, so THRE and TEMT
// are always set after the write), parity and framing errors of a real line, DMA pins.
// Single-threaded; SerialPort is the attachment.
class Uart16550 {
 public:
    static constexpr unsigned kFifoBytes = 16;

    void reset();

    // A register access; offset 0 to 7. A byte to send on the line, if the write gives one.
    uint8_t read(unsigned offset);
    std::optional<uint8_t> write(unsigned offset, uint8_t value);

    // Bytes that can be received without overrun; 0 in loopback.
    size_t receive_space() const;
    bool receive_empty() const { return count_ == 0; }
    // A driver can get interrupts at all (OUT2), and wants one for every byte (IER bit 0).
    bool interrupts_connected() const;
    bool receive_interrupts() const;
    // A byte from the line; overrun as the data sheet says if there is no space.
    void receive(uint8_t byte);
    void receive_break();
    // Four character times went by without an access to the receive FIFO [16550 8.4.2].
    void receive_timeout();
    // Whether receive_timeout() would make a difference: the owner keeps a timer.
    bool wants_timeout() const;

    // The modem input pins, of uart::msr's upper bits.
    void set_modem_inputs(uint8_t pins);

    // The INTR pin as a PC gates it by OUT2.
    bool interrupt() const;
    // Nanoseconds that one character takes with the divisor and format that are set.
    uint64_t character_ns() const;

 private:
    struct Received {
        uint8_t byte;
        uint8_t errors;  // lsr bits
    };
    bool fifos_enabled() const { return (fcr_ & 1) != 0; }
    unsigned capacity() const { return fifos_enabled() ? kFifoBytes : 1; }
    unsigned trigger() const;
    uint8_t interrupt_id() const;
    uint8_t line_status() const;
    uint8_t modem_status() const;
    uint8_t read_data();
    uint8_t read_interrupt_id();
    void push(Received received);
    void write_ier(uint8_t value);
    void write_fcr(uint8_t value);
    void write_mcr(uint8_t value);
    void update_modem_status();
    uint8_t modem_lines() const;

    std::array<Received, kFifoBytes> fifo_{};
    unsigned head_ = 0, count_ = 0;
    uint8_t ier_ = 0, fcr_ = 0, lcr_ = 0, mcr_ = 0, scratch_ = 0;
    uint8_t errors_ = 0;       // lsr errors not yet read
    uint8_t modem_delta_ = 0;  // msr bits 3 to 0
    uint8_t modem_inputs_ = 0xb0;  // DCD, DSR and CTS: somebody is connected
    uint8_t last_lines_ = 0xb0;
    uint16_t divisor_ = 12;    // 9600 baud
    bool transmit_empty_pending_ = false;  // THRE interrupt not yet taken
    bool timeout_pending_ = false;
};

}  // namespace mynah
