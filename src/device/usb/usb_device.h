#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "device/usb/usb_description.h"
#include "spec/usb/usb.h"

namespace mynah {

class UsbDevice;

// What a device answers to the host's tokens [USB 2.0 8.4].
enum class UsbStatus : uint8_t {
    kOk,
    kNak,    // nothing now; the device calls UsbHost::wake() when that changes
    kStall,  // the endpoint is halted, or the control request refused
    kError,  // nobody answers: no such endpoint, or an unplugged device
    kBabble  // the device has a packet that is longer than what the host has room for
};

struct UsbReply {
    UsbStatus status = UsbStatus::kOk;
    uint32_t size = 0;          // bytes moved
    bool short_packet = false;  // the last packet was shorter than the endpoint's packets are
};

// A device's way up: the controller it is plugged into. Called from any thread that holds no lock
// of the device or of the controller.
class UsbHost {
  public:
    virtual void wake(UsbDevice& device, uint8_t endpoint) = 0;  // an endpoint's address

  protected:
    ~UsbHost() = default;
};

// A USB device, seen from its port. The controller sends it tokens and gets answers at once: a
// device that needs time answers NAK and wakes the controller later. One call may move several
// packets: as many as fit into what the host has room for, or until a short one.
//
// Data toggles are left to the controllers: no packet ever gets lost between the two.
//
// Threads: tokens come under the controller's lock, and the device's own lock is taken inside of
// it; so a device calls nobody from within them. What it has to call is done in perform(), which
// the controller calls afterwards with no lock held, and by threads of its own.
class UsbDevice {
  public:
    explicit UsbDevice(UsbDescription description);
    // It has been unplugged.
    virtual ~UsbDevice();
    UsbDevice(const UsbDevice&) = delete;
    UsbDevice& operator=(const UsbDevice&) = delete;

    const UsbDescription& description() const { return description_; }
    bool supports(UsbSpeed speed) const { return (description_.speeds & speed_bit(speed)) != 0; }

    // --- for controllers ---
    // Whom to wake. Called without the controller's lock; nothing is heard from the device after
    // unplug() has returned.
    void plug(UsbHost& host) EXCLUDES(mutex_, host_lock_);
    void unplug() EXCLUDES(mutex_, host_lock_);
    // A port sees the device, or ceases to.
    void connect(UsbSpeed speed) EXCLUDES(mutex_);
    void disconnect() EXCLUDES(mutex_);
    void bus_reset() EXCLUDES(mutex_);
    uint8_t address() const EXCLUDES(mutex_);
    UsbSpeed speed() const EXCLUDES(mutex_);
    bool remote_wakeup_enabled() const EXCLUDES(mutex_);
    // Tokens. `endpoint` is the number, 0 to 15. `in` fills at most to.size() bytes.
    UsbReply setup(const usb::Setup& setup) EXCLUDES(mutex_);
    UsbReply in(uint8_t endpoint, std::span<std::byte> to)EXCLUDES(mutex_);
    UsbReply out(uint8_t endpoint, std::span<const std::byte> from) EXCLUDES(mutex_);
    // Whether perform() has something to do. Only one thread at a time calls perform().
    virtual bool has_work() const EXCLUDES(mutex_) { return false; }
    virtual void perform() EXCLUDES(mutex_) {}

  protected:
    static constexpr uint32_t kMaxControlData = 4096;  // bytes of a control transfer

    // --- what a kind of device adds; called with the lock held ---
    // Back to what it was when it was plugged in.
    virtual void do_reset() REQUIRES(mutex_) {}
    // A class or vendor request, or a standard one the base does not know. With the data for
    // transfers to the device; the answer's data, or nothing to refuse.
    virtual std::optional<std::vector<uint8_t>> do_request(const usb::Setup&,
                                                           std::span<const uint8_t>)
        REQUIRES(mutex_) {
        return std::nullopt;
    }
    // A configured endpoint that is not halted. short_packet is worked out by the caller.
    virtual UsbReply do_in(uint8_t endpoint, std::span<std::byte> to) REQUIRES(mutex_);
    virtual UsbReply do_out(uint8_t endpoint, std::span<const std::byte> from) REQUIRES(mutex_);
    virtual void do_configured() REQUIRES(mutex_) {}
    virtual void do_halt_cleared(uint8_t) REQUIRES(mutex_) {}

    void halt(uint8_t endpoint_address) REQUIRES(mutex_);
    bool halted(uint8_t endpoint_address) const REQUIRES(mutex_);
    bool configured() const REQUIRES(mutex_) { return configuration_ != 0; }
    // Bytes in a full packet of an endpoint that the device has.
    unsigned packet_size(uint8_t endpoint_address) const REQUIRES(mutex_);
    void wake_host(uint8_t endpoint_address) EXCLUDES(mutex_, host_lock_);

    mutable Mutex mutex_;

  private:
    enum class ControlStage : uint8_t { kIdle, kDataIn, kDataOut, kStatusIn, kStatusOut, kStalled };

    void reset_state() REQUIRES(mutex_);
    UsbReply control_in(std::span<std::byte> to) REQUIRES(mutex_);
    UsbReply control_out(std::span<const std::byte> from) REQUIRES(mutex_);
    std::optional<std::vector<uint8_t>> request(const usb::Setup& setup,
                                                std::span<const uint8_t> data) REQUIRES(mutex_);
    std::optional<std::vector<uint8_t>> device_request(const usb::Setup& setup) REQUIRES(mutex_);
    std::optional<std::vector<uint8_t>> interface_request(const usb::Setup& setup) REQUIRES(mutex_);
    std::optional<std::vector<uint8_t>> endpoint_request(const usb::Setup& setup) REQUIRES(mutex_);
    bool set_device_feature(uint16_t feature, bool on) REQUIRES(mutex_);
    std::vector<uint8_t> descriptor(const usb::Setup& setup) const REQUIRES(mutex_);
    const UsbEndpointDescription* find_endpoint(uint8_t address) const;

    const UsbDescription description_;
    bool connected_ GUARDED_BY(mutex_) = false;
    UsbSpeed speed_ GUARDED_BY(mutex_) = UsbSpeed::kFull;
    uint8_t address_ GUARDED_BY(mutex_) = 0;
    uint8_t configuration_ GUARDED_BY(mutex_) = 0;
    uint16_t features_ GUARDED_BY(mutex_) = 0;  // as in the device's status
    uint32_t halted_ GUARDED_BY(mutex_) = 0;    // bit: number, 16 more for IN

    ControlStage stage_ GUARDED_BY(mutex_) = ControlStage::kIdle;
    usb::Setup setup_ GUARDED_BY(mutex_){};
    std::vector<uint8_t> control_data_ GUARDED_BY(mutex_);
    size_t control_done_ GUARDED_BY(mutex_) = 0;

    // The way up has a lock of its own, so that unplug() can wait for calls that are under way.
    Mutex host_lock_;
    std::condition_variable_any host_left_;
    UsbHost* host_ GUARDED_BY(host_lock_) = nullptr;
    unsigned waking_ GUARDED_BY(host_lock_) = 0;
};

}  // namespace mynah
