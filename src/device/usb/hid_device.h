#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bus/vm_clock.h"
#include "device/usb/hid_events.h"
#include "device/usb/usb_device.h"

namespace mynah {

// What the human interface devices have in common [HID 1.11]: one interrupt endpoint that hands
// out reports, class requests, boot and report protocol, the idle rate.
class HidDevice : public UsbDevice {
  public:
    // What a person did. Events of one call happened at once and become one report where they can.
    // Any thread that holds no lock of a device or controller.
    virtual void events(std::span<const HidEvent> batch) EXCLUDES(mutex_) = 0;
    // What the host set, for a test to look at.
    bool boot_protocol() const EXCLUDES(mutex_);
    // A driver has configured it, and so fetches reports.
    bool has_driver() const EXCLUDES(mutex_);

  protected:
    static constexpr uint8_t kEndpoint = 1;
    static constexpr size_t kMaxQueued = 64;  // reports the guest did not fetch yet

    // report_descriptor: what the host reads to understand reports. The clock must outlive it.
    HidDevice(VmClock& clock, UsbDescription description, std::vector<uint8_t> report_descriptor,
              unsigned report_size);

    // Adds the interface's HID descriptor and the endpoint.
    static UsbDescription describe(UsbDescription base, size_t report_descriptor_size,
                                   uint16_t report_size);

    // --- of the kind of device; called with the lock held ---
    // What a report would say now.
    virtual std::vector<uint8_t> current_report() const REQUIRES(mutex_) = 0;
    virtual void do_output_report(std::span<const uint8_t>) REQUIRES(mutex_) {}
    virtual bool takes_output() const { return false; }
    virtual void forget() REQUIRES(mutex_) = 0;  // reports that wait and what is pressed

    // The next report, if there is something to tell.
    virtual std::optional<std::vector<uint8_t>> next_report() REQUIRES(mutex_) = 0;
    bool uses_boot_protocol() const REQUIRES(mutex_) { return boot_protocol_; }
    void wake() EXCLUDES(mutex_) { wake_host(usb::kEndpointIn | kEndpoint); }

    void do_reset() REQUIRES(mutex_) override;
    std::optional<std::vector<uint8_t>> do_request(const usb::Setup& setup,
                                                   std::span<const uint8_t> data)
        REQUIRES(mutex_) override;
    UsbReply do_in(uint8_t endpoint, std::span<std::byte> to) REQUIRES(mutex_) override;

  private:
    bool idle_is_over() const REQUIRES(mutex_);

    VmClock& clock_;
    const std::vector<uint8_t> report_descriptor_;
    bool boot_protocol_ GUARDED_BY(mutex_) = false;
    uint8_t idle_rate_ GUARDED_BY(mutex_) = 0;        // in units of 4 ms; 0: never
    uint64_t last_report_ns_ GUARDED_BY(mutex_) = 0;  // when one was fetched
    std::unique_ptr<VmTimer> idle_timer_;             // last: its callback uses the above
};

}  // namespace mynah
