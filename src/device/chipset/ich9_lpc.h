#pragma once

#include <cstdint>

#include "bus/io_space.h"
#include "bus/pci/pci_function.h"
#include "bus/serial_update.h"
#include "device/chipset/ich9_power_management.h"
#include "device/chipset/ich9_registers.h"
#include "device/chipset/pirq_router.h"

namespace mynah {

// The LPC bridge of an ICH9, device 31 function 0 [ICH9 13.1], with the chipset configuration
// registers at RCBA [ICH9 10.1]: places the power management ports, routes PIRQs. The ISA devices
// behind the bridge are fixed: its decode registers are storage, as is GPIO. Any thread.
class Ich9Lpc {
  public:
    // power and router outlive it.
    Ich9Lpc(const PciAttachment& attachment, Ich9PowerManagement& power, PirqRouter& router);
    ~Ich9Lpc();

    PciFunction& function() { return function_; }
    void reset();

  private:
    class RootComplex final : public IoHandler {
      public:
        explicit RootComplex(PirqRouter& router) : router_(router) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        PirqRouter& router_;
    };

    void define_registers();
    void written(unsigned offset, unsigned size);
    void apply();

    IoSpace& ports_;
    IoSpace& memory_space_;
    Ich9PowerManagement& power_;
    PirqRouter& router_;
    PciFunction function_;
    RootComplex root_complex_;
    SerialUpdate update_;
    uint64_t pm_base_ = 0, root_complex_base_ = 0;  // where they are; update_ orders the changes
};

}  // namespace mynah
