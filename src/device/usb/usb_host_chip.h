#pragma once

#include <cstdint>
#include <optional>

#include "device/usb/usb_device.h"

namespace mynah {

// What every kind of host controller is to the adapter that has the lock, the lines and the clock's
// callbacks. Single-threaded: called under the adapter's lock. Devices get their tokens from within
// these functions; what a device then has to do elsewhere (has_work()) the adapter lets it do.
class UsbHostChip {
  public:
    virtual ~UsbHostChip() = default;

    // Registers; size 1, 2 or 4.
    virtual uint32_t read(uint32_t offset, unsigned size) = 0;
    virtual void write(uint32_t offset, unsigned size, uint32_t value) = 0;
    virtual void reset() = 0;

    virtual unsigned port_count() const = 0;
    // At which speed a port would run the device; nothing: it does not fit.
    virtual std::optional<UsbSpeed> speed_for(unsigned port, const UsbDevice& device) const = 0;
    // A free port gets a device; the port that has one loses it.
    virtual void plug(unsigned port, UsbDevice& device) = 0;
    virtual void unplug(unsigned port) = 0;
    // The device has something for an endpoint that it answered NAK.
    virtual void wake(UsbDevice& device, uint8_t endpoint) = 0;

    // Work that is due at a time: run() is called at next_run_ns() or later; all ones: never.
    virtual uint64_t next_run_ns() const = 0;
    virtual void run() = 0;

    struct Signals {
        bool line = false;     // level of the interrupt pin
        uint32_t vectors = 0;  // bits: messages to send
    };
    // What is to be signalled; messages are the adapter's from then on. msi: the guest has messages
    // on.
    virtual Signals take_signals(bool msi) = 0;
};

}  // namespace mynah
