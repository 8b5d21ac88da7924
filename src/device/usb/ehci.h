#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/log.h"
#include "bus/vm_clock.h"
#include "device/usb/ehci_registers.h"
#include "device/usb/uhci.h"
#include "device/usb/usb_frame_clock.h"
#include "device/usb/usb_host_chip.h"
#include "memory/dma_view.h"

namespace mynah {

// An EHCI host controller [EHCI 1.0] with six ports that it shares with three UHCI companions, two
// ports each, as in Intel's ICH9: a port belongs to the companion until the driver sets the
// configure flag, and again when it hands the port over because the device in it is no high-speed
// one [EHCI 1.0 4.2].
//
// Transfers take no time. Left out: isochronous and split transactions (their descriptors are
// skipped), 64-bit addresses, smaller frame lists, park mode, test modes.
class Ehci final : public UsbHostChip {
  public:
    static constexpr unsigned kCompanions = 3;
    static constexpr unsigned kPortCount = kCompanions * Uhci::kPortCount;

    // All must outlive the chip. The companions are under the same lock.
    Ehci(const DmaView& dma, const VmClock& clock, std::span<Uhci* const, kCompanions> companions);

    uint32_t read(uint32_t offset, unsigned size) override;
    void write(uint32_t offset, unsigned size, uint32_t value) override;
    void reset() override;
    unsigned port_count() const override { return kPortCount; }
    std::optional<UsbSpeed> speed_for(unsigned port, const UsbDevice& device) const override;
    void plug(unsigned port, UsbDevice& device) override;
    void unplug(unsigned port) override;
    void wake(UsbDevice& device, uint8_t endpoint) override;
    uint64_t next_run_ns() const override { return polling_.next_ns(); }
    void run() override;
    Signals take_signals(bool msi) override;

  private:
    static constexpr uint64_t kMicroframeNs = 125'000;
    static constexpr unsigned kMaxFrames = 16;     // frames looked at in one call
    static constexpr unsigned kFrameQueues = 128;  // list elements of one frame
    static constexpr unsigned kAsyncQueues = 256;  // queue heads and transfers of one pass

    struct Port {
        UsbDevice* device = nullptr;
        uint32_t status = 0;
    };

    uint32_t read_register(uint32_t offset) const;
    void write_command(uint32_t value);
    void write_port(unsigned number, uint32_t value);
    void write_config_flag(bool on);
    bool running() const { return (command_ & ehci::kRun) != 0; }
    bool polled() const;
    bool owns(unsigned port) const { return (ports_[port].status & ehci::kPortOwner) == 0; }
    void give(unsigned port);  // shows the device to whoever owns the port
    void take(unsigned port);
    void set_connected(Port& port);
    void host_error(const char* what);

    // ehci_schedule.cpp
    void run_periodic(uint64_t frame);
    void run_async();
    // What is horizontally behind the queue; nothing: the schedule cannot be followed.
    std::optional<uint32_t> run_queue(uint32_t address, unsigned& budget);
    bool advance(uint32_t address, ehci::QueueHead& queue);
    // True: the transfer is done.
    bool run_transfer(ehci::QueueHead& queue);
    UsbReply transact(const ehci::QueueHead& queue, uint32_t length);
    bool copy(const ehci::Transfer& transfer, std::span<std::byte> data, bool to_guest) const;
    static void move_on(ehci::Transfer& transfer, uint32_t bytes);
    bool write_back(uint32_t address, const ehci::QueueHead& queue);
    UsbDevice* find(uint8_t address) const;

    const DmaView& dma_;
    const VmClock& clock_;
    const std::array<Uhci*, kCompanions> companions_;
    LogLimit log_;
    UsbFrameClock microframes_{kMicroframeNs};
    UsbPolling polling_;
    uint64_t next_frame_ = 0;  // the first that was not looked at
    bool moved_ = false;       // something moved since it was cleared

    uint32_t command_ = 0, status_ = 0, interrupt_enable_ = 0;
    uint32_t periodic_base_ = 0, async_address_ = 0;
    bool configured_ = false;
    std::array<Port, kPortCount> ports_;
    std::vector<std::byte> data_;
};

}  // namespace mynah
