#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/pci/pci_function.h"
#include "bus/vm_clock.h"
#include "device/watchdog/i6300esb_registers.h"

namespace mynah {

// The watchdog timer of an Intel 6300ESB as a PCI function of its own, as the i6300esb driver and
// libvirt know it [6300ESB 16]. Two stages: the first one's end is an interrupt in hardware, which
// no driver uses and this leaves out; at the second one's end the machine is taken care of as the
// operator wishes. Any thread.
class I6300Esb final : private IoHandler {
  public:
    // expired: the second stage ran out. On the clock's thread, with no lock held.
    I6300Esb(const PciAttachment& attachment, VmClock& clock, std::function<void()> expired);

    PciFunction& function() { return function_; }
    void reset() EXCLUDES(mutex_);

  private:
    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void config_written(unsigned offset, unsigned size) EXCLUDES(mutex_);
    void restart() REQUIRES(mutex_);
    void stage_over() EXCLUDES(mutex_);
    uint64_t stage_ns(uint32_t preload) const REQUIRES(mutex_);

    PciFunction function_;
    VmClock& clock_;
    const std::function<void()> expired_;
    Mutex mutex_;
    uint16_t config_ GUARDED_BY(mutex_) = 0;
    uint8_t lock_ GUARDED_BY(mutex_) = 0;
    uint32_t preload_[2] GUARDED_BY(mutex_) = {i6300esb::kPreloadMask, i6300esb::kPreloadMask};
    unsigned unlocked_ GUARDED_BY(mutex_) = 0;  // how many of the two words were written
    unsigned stage_ GUARDED_BY(mutex_) = 0;     // which of the two is counting
    uint64_t deadline_ GUARDED_BY(mutex_) = 0;  // of the stage
    bool timed_out_ GUARDED_BY(mutex_) = false;
    std::unique_ptr<VmTimer> timer_;  // last: its callback uses the rest
};

}  // namespace mynah
