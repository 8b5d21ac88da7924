#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "bus/interrupt_line.h"
#include "bus/line_driver.h"
#include "bus/pci/pci_address.h"
#include "device/chipset/ich9_registers.h"
#include "device/interrupt/interrupt_router.h"

namespace mynah {

// How INTx pins of the functions on bus 0 become interrupts on an ICH9 [ICH9 5.9.6, 5.10.2,
// 10.1.42]: each is wired to one of PIRQA to PIRQH; those arrive at pins 16 to 23 of the I/O APIC,
// and at an input of the 8259s if the LPC bridge routes them there. Pins of devices 25 to 31 are
// wired as chipset registers say, those of other slots to PIRQE to PIRQH in turn. Any thread.
class PirqRouter {
  public:
    explicit PirqRouter(InterruptRouter& router);
    ~PirqRouter();

    // One more wire from this pin, 1 (INTA#) to 4. While the board is built.
    InterruptLine& input(PciSlot slot, unsigned pin);

    // PIRQ 0 (A) to 7: the LPC bridge's routing register.
    void set_pic_route(unsigned pirq, uint8_t value) EXCLUDES(mutex_);
    // Devices 25 to 31: the chipset's routing register.
    void set_device_route(unsigned device, uint16_t value) EXCLUDES(mutex_);
    uint16_t device_route(unsigned device) EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

    // To which PIRQ the pin of a slot goes after power-on.
    static unsigned usual_pirq(unsigned device, unsigned pin);

  private:
    struct Input;
    static constexpr unsigned kIrqs = 16, kDevices = 32;

    void set_input(Input& input, bool level) EXCLUDES(mutex_);
    unsigned pirq_of(const Input& input) const REQUIRES(mutex_);
    void update() REQUIRES(mutex_);
    void flush() EXCLUDES(mutex_);

    std::array<std::unique_ptr<LineDriver>, ich9::pirq::kCount> gsi_;
    std::array<std::unique_ptr<LineDriver>, kIrqs> pic_;  // null where nothing can be routed
    Mutex mutex_;
    std::vector<std::unique_ptr<Input>> inputs_;
    std::array<uint8_t, ich9::pirq::kCount> pic_routes_ GUARDED_BY(mutex_);
    std::array<uint16_t, kDevices> device_routes_ GUARDED_BY(mutex_);
};

}  // namespace mynah
