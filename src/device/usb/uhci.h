#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/log.h"
#include "bus/vm_clock.h"
#include "device/usb/uhci_registers.h"
#include "device/usb/usb_frame_clock.h"
#include "device/usb/usb_host_chip.h"
#include "memory/dma_view.h"

namespace mynah {

// A UHCI host controller [UHCI 1.1] with two ports for low- and full-speed devices.
//
// A frame moves up to kFrameBytes instead of what 12 Mbit/s allow. Isochronous descriptors end with
// nothing moved. Left out: SMI-driven keyboard emulation, over-current, time within a frame
// (SOF modify is kept and does nothing).
class Uhci final : public UsbHostChip {
  public:
    static constexpr unsigned kPortCount = 2;

    // Both must outlive the chip.
    Uhci(const DmaView& dma, const VmClock& clock);

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
    static constexpr uint64_t kFrameNs = 1'000'000;
    static constexpr unsigned kMaxFrames = 16;  // frames looked at in one call
    static constexpr uint32_t kFrameBytes = 16384;
    static constexpr unsigned kFrameElements = 256;  // descriptors and queue heads in one frame

    struct Port {
        UsbDevice* device = nullptr;
        uint16_t status = 0;
    };
    enum class Outcome : uint8_t {
        kNext,   // the descriptor is done: on to the one behind it
        kLeave,  // it is not, or ended the queue
        kHalt    // the schedule cannot be followed
    };

    uint16_t read16(uint32_t offset) const;
    void write16(uint32_t offset, uint16_t value);
    void write_command(uint16_t value);
    void write_port(Port& port, uint16_t value);
    void set_connected(Port& port);
    bool running() const { return (command_ & uhci::kRun) != 0; }
    bool any_enabled() const;
    void halt(uint16_t why, const char* what);
    void remote_wake(UsbDevice& device);

    // uhci_schedule.cpp
    void run_frame(uint64_t number);
    // True: go on with `link`.
    bool run_queue(uint32_t& link);
    Outcome run_descriptor(uint32_t address, uhci::TransferDescriptor& descriptor, bool in_queue);
    UsbReply transact(const uhci::TransferDescriptor& descriptor, uint32_t length);
    Outcome finish(uint32_t address, uhci::TransferDescriptor& descriptor, const UsbReply& reply,
                   uint32_t length, bool in_queue);
    UsbDevice* find(uint8_t address) const;
    bool seen_in_vain(uint32_t queue);

    const DmaView& dma_;
    const VmClock& clock_;
    LogLimit log_;
    UsbFrameClock frames_{kFrameNs};
    UsbPolling polling_;
    uint64_t next_frame_ = 0;  // the first that was not looked at

    uint16_t command_ = 0, status_ = 0, interrupt_enable_ = 0;
    uint32_t frame_list_ = 0;
    uint8_t start_of_frame_ = 0x40;
    bool completed_ = false, short_packet_ = false;  // why USBSTS says interrupt
    std::array<Port, kPortCount> ports_;

    uint32_t bytes_left_ = 0;        // of this frame
    unsigned elements_left_ = 0;     // of this frame
    bool moved_ = false;             // something moved in this frame
    std::vector<uint32_t> visited_;  // queue heads since something moved
    std::array<std::byte, uhci::kMaxLength> packet_;
};

}  // namespace mynah
