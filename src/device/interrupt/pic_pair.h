#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "device/interrupt/external_interrupts.h"
#include "device/interrupt/pic8259.h"

namespace mynah {

// The two cascaded 8259As of a PC: the attachment with lock, ports, 16 inputs and the INTR
// output, which the board wires to LINT0 of the local APICs. Any thread.
class PicPair final : public ExternalInterrupts {
 public:
    explicit PicPair(InterruptLine& intr);
    ~PicPair() override;

    InterruptLine& input(unsigned irq);  // 0 to 15, not 2

    IoHandler& master_ports() { return master_ports_; }  // two ports, 20h on a PC
    IoHandler& slave_ports() { return slave_ports_; }    // two ports, A0h
    IoHandler& elcr_ports() { return elcr_ports_; }      // two ports, 4D0h

    // The INTA cycle. Only a processor that saw INTR calls this.
    uint8_t acknowledge() override EXCLUDES(mutex_);

    void reset() EXCLUDES(mutex_);

 private:
    class Input;
    void set_input(unsigned irq, bool level) EXCLUDES(mutex_);
    void update() REQUIRES(mutex_);
    uint8_t read_master(unsigned offset), read_slave(unsigned offset), read_elcr(unsigned offset);
    void write_master(unsigned offset, uint8_t value);
    void write_slave(unsigned offset, uint8_t value);
    void write_elcr(unsigned offset, uint8_t value);

    Mutex mutex_;
    Pic8259 master_ GUARDED_BY(mutex_);
    Pic8259 slave_ GUARDED_BY(mutex_);
    LineDriver intr_;
    std::array<std::unique_ptr<Input>, 16> inputs_;
    ByteWindow<PicPair> master_ports_, slave_ports_, elcr_ports_;
};

}  // namespace mynah
