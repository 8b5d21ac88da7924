#pragma once

#include <array>
#include <memory>

#include "bus/interrupt_line.h"
#include "bus/shared_line.h"
#include "device/interrupt/io_apic.h"
#include "device/interrupt/pic_pair.h"

namespace mynah {

// Wires the interrupt inputs of a PC to both controllers: ISA request n goes to input n of the
// 8259 pair and to the I/O APIC's pin of the same number, except request 0, whose pin is 2 (the
// MADT says so by an interrupt source override). Pins from 16 on have no 8259; a PC with PCI has
// wires of its own to the 8259s for what arrives there (pic_input). Which controller is listened to
// is the guest's choice, by their masks. Any thread.
class InterruptRouter {
  public:
    InterruptRouter(PicPair& pics, IoApic& io_apic);
    ~InterruptRouter();

    static constexpr uint32_t kTimerGsi = 2;

    // The wire of ISA request 0 to 15 (not 2), as the chips of a PC are connected.
    InterruptLine& isa(unsigned irq);
    // The wire of a global system interrupt 0 to 23. Gsi{2} is isa(0).
    InterruptLine& gsi(Gsi gsi);
    // One more wire to GSI 16 to 23; the pin is high while any of its wires is. While the board is
    // built.
    InterruptLine& add_gsi_wire(Gsi gsi);
    // A second wire to input 1 to 15 (not 2) of the 8259 pair alone; the input is high while
    // either is.
    InterruptLine& pic_input(unsigned irq);

  private:
    class Wire;
    struct PicInput {
        explicit PicInput(InterruptLine& input)
            : shared(input), isa(shared.add_input()), other(shared.add_input()) {}
        SharedLine shared;
        InterruptLine& isa;
        InterruptLine& other;
    };
    std::array<std::unique_ptr<PicInput>, 16> pic_inputs_;
    std::array<std::unique_ptr<SharedLine>, IoApic82093::kPins> shared_;  // from GSI 16 on
    std::array<std::unique_ptr<Wire>, IoApic82093::kPins> wires_;         // by GSI; null where none
};

}  // namespace mynah
