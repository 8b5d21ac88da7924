#include "device/serial/uart16550.h"

#include "device/serial/uart16550_registers.h"

namespace mynah {

using namespace uart;

void Uart16550::reset() {
    const uint8_t inputs = modem_inputs_;
    *this = Uart16550();
    modem_inputs_ = last_lines_ = inputs;
}

unsigned Uart16550::trigger() const {
    constexpr unsigned kTriggers[4] = {1, 4, 8, 14};
    return fifos_enabled() ? kTriggers[fcr_ >> fcr::kTriggerShift] : 1;
}

// --- Receiving.

size_t Uart16550::receive_space() const {
    if ((mcr_ & mcr::kLoop) != 0) return 0;
    return capacity() - count_;
}

// With FIFOs the byte in the shift register is lost, without them the one not yet read
// [16550 8.4, bit 1].
void Uart16550::push(Received received) {
    timeout_pending_ = false;
    if (count_ >= capacity()) {
        errors_ |= lsr::kOverrun;
        if (!fifos_enabled()) fifo_[head_] = received;
        return;
    }
    fifo_[(head_ + count_) % kFifoBytes] = received;
    ++count_;
}

bool Uart16550::interrupts_connected() const { return (mcr_ & mcr::kOut2) != 0; }

bool Uart16550::receive_interrupts() const {
    return (ier_ & ier::kReceived) != 0 && interrupts_connected();
}

void Uart16550::receive(uint8_t byte) {
    if ((mcr_ & mcr::kLoop) == 0) push({byte, 0});
}

void Uart16550::receive_break() {
    if ((mcr_ & mcr::kLoop) == 0) push({0, lsr::kBreak});
}

bool Uart16550::wants_timeout() const {
    return fifos_enabled() && (ier_ & ier::kReceived) != 0 && count_ > 0 && count_ < trigger() &&
           !timeout_pending_;
}

void Uart16550::receive_timeout() {
    if (wants_timeout()) timeout_pending_ = true;
}

uint8_t Uart16550::read_data() {
    timeout_pending_ = false;
    if (count_ == 0) return fifo_[head_].byte;
    const uint8_t byte = fifo_[head_].byte;
    if (fifos_enabled()) head_ = (head_ + 1) % kFifoBytes;
    --count_;
    return byte;
}

// --- Status and interrupts.

uint8_t Uart16550::line_status() const {
    uint8_t status = lsr::kTransmitEmpty | lsr::kIdle | errors_;
    if (count_ == 0) return status;
    status |= lsr::kDataReady;
    status |= fifo_[head_].errors;  // of the byte on top of the FIFO
    if (!fifos_enabled()) return status;
    for (unsigned i = 0; i < count_; ++i) {
        if (fifo_[(head_ + i) % kFifoBytes].errors != 0) status |= lsr::kFifoError;
    }
    return status;
}

// By priority [16550 table III].
uint8_t Uart16550::interrupt_id() const {
    if ((ier_ & ier::kLineStatus) != 0 && (line_status() & lsr::kErrors) != 0)
        return iir::kLineStatus;
    if ((ier_ & ier::kReceived) != 0) {
        if (count_ >= trigger()) return iir::kReceived;
        if (timeout_pending_) return iir::kTimeout;
    }
    if ((ier_ & ier::kTransmitEmpty) != 0 && transmit_empty_pending_) return iir::kTransmitEmpty;
    if ((ier_ & ier::kModemStatus) != 0 && modem_delta_ != 0) return iir::kModemStatus;
    return iir::kNone;
}

// OUT2 gates the interrupt onto the bus of a PC; in loopback the pin is inactive, but chips on
// PC boards keep the gate open then, and drivers' self-tests rely on it.
bool Uart16550::interrupt() const {
    return (mcr_ & (mcr::kOut2 | mcr::kLoop)) != 0 && interrupt_id() != iir::kNone;
}

uint8_t Uart16550::read_interrupt_id() {
    const uint8_t id = interrupt_id();
    if (id == iir::kTransmitEmpty) transmit_empty_pending_ = false;
    return static_cast<uint8_t>(id | (fifos_enabled() ? iir::kFifosEnabled : 0));
}

uint64_t Uart16550::character_ns() const {
    // Start bit, 5 to 8 data bits, parity, 1 or 2 stop bits.
    const unsigned bits = 1 + 5 + (lcr_ & lcr::kWordLength) + ((lcr_ & lcr::kParity) != 0 ? 1 : 0) +
                          ((lcr_ & lcr::kStopBits) != 0 ? 2 : 1);
    const uint64_t divisor = divisor_ == 0 ? 0x10000 : divisor_;
    return bits * divisor * 1'000'000'000 / 115200;  // a crystal of 1.8432 MHz, 16 clocks a bit
}

// --- Modem control [16550 8.8, 8.9].

void Uart16550::set_modem_inputs(uint8_t pins) {
    modem_inputs_ = pins & 0xf0;
    update_modem_status();
}

uint8_t Uart16550::modem_lines() const {
    if ((mcr_ & mcr::kLoop) == 0) return modem_inputs_;
    // In loopback the outputs come back as CTS, DSR, RI and DCD.
    uint8_t lines = 0;
    if ((mcr_ & mcr::kRts) != 0) lines |= msr::kCts;
    if ((mcr_ & mcr::kDtr) != 0) lines |= msr::kDsr;
    if ((mcr_ & mcr::kOut1) != 0) lines |= msr::kRi;
    if ((mcr_ & mcr::kOut2) != 0) lines |= msr::kDcd;
    return lines;
}

void Uart16550::update_modem_status() {
    const uint8_t lines = modem_lines();
    const uint8_t changed = lines ^ last_lines_;
    modem_delta_ |= (changed & (msr::kCts | msr::kDsr | msr::kDcd)) >> 4;
    if ((changed & msr::kRi) != 0 && (lines & msr::kRi) == 0) modem_delta_ |= msr::kTrailingRi;
    last_lines_ = lines;
}

uint8_t Uart16550::modem_status() const { return modem_lines() | modem_delta_; }

// --- The registers.

uint8_t Uart16550::read(unsigned offset) {
    const bool dlab = (lcr_ & lcr::kDlab) != 0;
    switch (offset) {
        case kData: return dlab ? static_cast<uint8_t>(divisor_) : read_data();
        case kIer: return dlab ? static_cast<uint8_t>(divisor_ >> 8) : ier_;
        case kIirFcr: return read_interrupt_id();
        case kLcr: return lcr_;
        case kMcr: return mcr_;
        case kLsr: {
            const uint8_t status = line_status();
            errors_ = 0;
            if (count_ > 0) fifo_[head_].errors = 0;
            return status;
        }
        case kMsr: {
            const uint8_t status = modem_status();
            modem_delta_ = 0;
            return status;
        }
        case kScratch: return scratch_;
        default: return 0xff;
    }
}

std::optional<uint8_t> Uart16550::write(unsigned offset, uint8_t value) {
    const bool dlab = (lcr_ & lcr::kDlab) != 0;
    switch (offset) {
        case kData:
            if (dlab) {
                divisor_ = static_cast<uint16_t>((divisor_ & 0xff00) | value);
                break;
            }
            // Sent at once: the holding register is empty again.
            transmit_empty_pending_ = true;
            if ((mcr_ & mcr::kLoop) == 0) return value;
            push({value, 0});
            break;
        case kIer:
            if (dlab) {
                divisor_ = static_cast<uint16_t>((divisor_ & 0x00ff) | value << 8);
            } else {
                write_ier(value);
            }
            break;
        case kIirFcr: write_fcr(value); break;
        case kLcr: lcr_ = value; break;
        case kMcr: write_mcr(value); break;
        case kScratch: scratch_ = value; break;
        default: break;  // LSR is for the factory, MSR read-only
    }
    return std::nullopt;
}

// Enabling the transmitter's interrupt while the holding register is empty raises it at once.
void Uart16550::write_ier(uint8_t value) {
    const uint8_t before = ier_;
    ier_ = value & ier::kWritable;
    if ((ier_ & ~before & ier::kTransmitEmpty) != 0) transmit_empty_pending_ = true;
}

// The other bits count only if the enable bit is set; changing it clears the FIFOs.
void Uart16550::write_fcr(uint8_t value) {
    const bool enable = (value & fcr::kEnable) != 0;
    if (enable != fifos_enabled() || (enable && (value & fcr::kClearReceive) != 0)) {
        head_ = count_ = 0;
        timeout_pending_ = false;
    }
    fcr_ = enable ? value & (fcr::kEnable | fcr::kTrigger) : 0;
}

void Uart16550::write_mcr(uint8_t value) {
    mcr_ = value & mcr::kWritable;
    update_modem_status();
}

}  // namespace mynah
