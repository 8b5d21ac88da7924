#pragma once

#include <functional>

#include "base/mutex.h"
#include "bus/pci/pci_bus.h"
#include "bus/pci/pci_function.h"
#include "device/chipset/ich9_registers.h"

namespace mynah {

// A PCI Express root port of an ICH9 [ICH9 19.1] with a hot-plug capable slot behind it: attention
// button, power controller, indicators, presence and link state, and the interrupts that tell of
// them [PCIe 3.0 6.7, 7.8.9 to 7.8.11]. A card answers on the secondary bus while it is in the slot
// and the slot has power; the link is up just as long. Left out: link training, the lamps (they
// are registers only), power management events. Any thread.
class Ich9RootPort {
  public:
    // number: 0 to 5, which is its function number too.
    Ich9RootPort(const PciAttachment& attachment, unsigned number);

    PciFunction& function() { return function_; }
    PciBus& secondary() { return secondary_; }
    // Its interrupt pin, 1 to 4, by the port's number.
    static unsigned pin(unsigned number) { return number % 4 + 1; }

    // Told when the guest has turned the slot's power off; on the thread of its write, no lock
    // held.
    void on_power_off(std::function<void()> told) { power_off_ = std::move(told); }
    // A card goes into the slot, which is empty; the guest hears of it and turns the power on.
    void insert(PciFunction& card) EXCLUDES(mutex_);
    // Asks the guest to let the card go (or to take it, if it has let it go): the button is
    // pressed.
    void press_attention_button() EXCLUDES(mutex_);
    // The card is pulled: no cycle to it begins from now on. secondary().settle(0) waits for those
    // that have begun.
    void remove() EXCLUDES(mutex_);
    bool powered() const EXCLUDES(mutex_);
    // Power-on: a card that is there has power. The card itself is reset by its owner.
    void reset() EXCLUDES(mutex_);

  private:
    void config_written(unsigned offset, unsigned size) EXCLUDES(mutex_);
    void switch_power(bool on) REQUIRES(mutex_);
    void set_events(uint32_t events) REQUIRES(mutex_);
    void update_interrupt() EXCLUDES(mutex_);

    PciFunction function_;
    PciBus secondary_;
    const unsigned express_;  // offset of the capability
    std::function<void()> power_off_;
    mutable Mutex mutex_;
    PciFunction* card_ GUARDED_BY(mutex_) = nullptr;
    bool powered_ GUARDED_BY(mutex_) = false;
    bool interrupting_ GUARDED_BY(mutex_) = false;
};

}  // namespace mynah
