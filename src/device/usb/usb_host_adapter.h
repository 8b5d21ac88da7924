#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "bus/io_handler.h"
#include "bus/line_driver.h"
#include "bus/vm_clock.h"
#include "device/usb/usb_device.h"
#include "device/usb/usb_host_chip.h"

namespace mynah {

// Where a host controller's interrupts go: its PCI function, or a test.
class UsbInterrupts : public InterruptLine {
  public:
    virtual bool messages() const = 0;  // the guest has message-signalled interrupts on
    virtual void send(unsigned vector) = 0;
};

// Puts host controller chips into a machine: the lock, the register windows, interrupts, the clock,
// and the devices in the ports. Several chips that share ports (EHCI and its companions) share one
// adapter, and so its lock; the first is the one that has the ports.
//
// Any thread. Nothing is called out under the lock but the devices' tokens (see UsbDevice) and the
// clock's arm(). Each call ends in settle(): signals are delivered, and devices do what they could
// not do under the lock, one thread at a time; a wake-up from within that is picked up by the
// thread that is at it, so nothing nests however long the guest's rings are.
class UsbHostAdapter final : public UsbHost {
  public:
    // The clock and all that is added outlive the adapter.
    explicit UsbHostAdapter(VmClock& clock);
    // Unplugs what is plugged in.
    ~UsbHostAdapter();
    UsbHostAdapter(const UsbHostAdapter&) = delete;
    UsbHostAdapter& operator=(const UsbHostAdapter&) = delete;

    // While the machine is built. The handler of the chip's registers.
    IoHandler& add(UsbHostChip& chip, UsbInterrupts& interrupts);

    // Plugs a device into a port (from 0), or into the best free one; the port it got. It must be
    // unplugged before it is destroyed. Error: no such port, not free, or it does not fit there.
    Result<unsigned> plug(UsbDevice& device, std::optional<unsigned> port = std::nullopt)
        EXCLUDES(mutex_);
    // Waits until nobody works on the device. Nothing happens if it is not plugged in.
    void unplug(UsbDevice& device) EXCLUDES(mutex_);

    void reset() EXCLUDES(mutex_);
    // Whether the guest's messages are on may have changed, for instance.
    void update() { settle(); }

  private:
    static constexpr unsigned kMaxRounds = 64;  // of devices' work in one call
    static constexpr uint64_t kPauseNs = 100'000;

    class Member final : public IoHandler {
      public:
        Member(UsbHostAdapter& adapter, UsbHostChip& chip, UsbInterrupts& interrupts);
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;
        void deliver();

        UsbHostAdapter& adapter_;
        UsbHostChip& chip_;
        UsbInterrupts& interrupts_;
        LineDriver line_;
    };

    void wake(UsbDevice& device, uint8_t endpoint) override EXCLUDES(mutex_);
    void settle() EXCLUDES(mutex_);
    void deliver() EXCLUDES(mutex_);
    void perform() EXCLUDES(mutex_);
    UsbDevice* next_with_work() REQUIRES(mutex_);
    std::optional<unsigned> best_port(const UsbDevice& device) const REQUIRES(mutex_);
    void arm() REQUIRES(mutex_);
    void fired() EXCLUDES(mutex_);

    VmClock& clock_;
    Mutex mutex_;
    std::vector<std::unique_ptr<Member>> members_;      // constant while the machine runs
    std::vector<UsbDevice*> ports_ GUARDED_BY(mutex_);  // of the first chip
    bool performing_ GUARDED_BY(mutex_) = false;        // somebody is inside perform()
    UsbDevice* busy_ GUARDED_BY(mutex_) = nullptr;      // the device that is being let work
    bool work_left_ GUARDED_BY(mutex_) = false;         // perform() gave up after kMaxRounds
    size_t turn_ GUARDED_BY(mutex_) = 0;                // the port to ask next for work
    std::condition_variable_any free_;                  // busy_ changed
    uint64_t armed_ns_ GUARDED_BY(mutex_) = ~uint64_t{0};
    std::unique_ptr<VmTimer> timer_;  // last: its callback uses everything above
};

}  // namespace mynah
