#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/log.h"
#include "bus/vm_clock.h"
#include "device/usb/usb_host_chip.h"
#include "device/usb/xhci_interrupter.h"
#include "device/usb/xhci_ring.h"
#include "memory/dma_view.h"
#include "spec/usb/xhci.h"

namespace mynah {

// An xHCI host controller [xHCI 1.1], as far as software sees it. Ports 0 to 3 are USB 2, ports 4
// to 7 USB 3.
//
// Modelled: slots, contexts of 32 bytes, command ring, event rings with several segments, eight
// interrupters, control, bulk and interrupt transfers with scattered TDs, event data, stop, reset
// and set-dequeue, port state with suspend, resume and remote wake-up. Bandwidth is never short and
// transfers take no time, nor do port resets.
//
// Left out: streams, isochronous data (its TDs end with nothing moved), hubs, interrupt
// moderation, saving over a power-down (a restore reports its failure), debug capability,
// virtualization.
//
// What a guest can make it do in one call is bounded by kBudget; the rest is done by run().
class Xhci final : public UsbHostChip {
  public:
    static constexpr unsigned kUsb2Ports = 4, kUsb3Ports = 4;
    static constexpr unsigned kPortCount = kUsb2Ports + kUsb3Ports;
    static constexpr unsigned kSlots = 32;
    static constexpr unsigned kInterrupterCount = 8;

    // Both must outlive the chip.
    Xhci(const DmaView& dma, const VmClock& clock);
    ~Xhci() override;

    uint32_t read(uint32_t offset, unsigned size) override;
    void write(uint32_t offset, unsigned size, uint32_t value) override;
    void reset() override;
    unsigned port_count() const override { return kPortCount; }
    std::optional<UsbSpeed> speed_for(unsigned port, const UsbDevice& device) const override;
    void plug(unsigned port, UsbDevice& device) override;
    void unplug(unsigned port) override;
    void wake(UsbDevice& device, uint8_t endpoint) override;
    uint64_t next_run_ns() const override { return next_run_ns_; }
    void run() override;
    Signals take_signals(bool msi) override;

  private:
    static constexpr unsigned kBudget = 512;       // TRBs, or 64 KiB of data each
    static constexpr uint64_t kPauseNs = 100'000;  // before a guest that keeps us busy gets more
    static constexpr size_t kMaxTdTrbs = 512;
    static constexpr uint32_t kBounce = 64 * 1024;  // bytes moved at once

    struct Port {
        UsbDevice* device = nullptr;
        uint32_t status = 0;
        uint32_t power_management = 0, hardware_lpm = 0;
    };

    // A TRB of the TD that is being worked on.
    struct Part {
        usb::xhci::Trb trb;
        uint64_t address;
    };
    struct Endpoint {
        uint32_t kind = 0;  // 0: there is none
        uint32_t state = 0;
        XhciRing ring;         // at the first TRB of the TD
        XhciRing after;        // behind the TD
        std::vector<Part> td;  // empty: none was fetched
        uint32_t td_size = 0;  // bytes
        uint32_t done = 0;     // bytes that were moved
        bool deferred = false;
        bool is_in() const { return kind == 5 || kind == 6 || kind == 7; }
        void forget_td() {
            td.clear();
            td_size = done = 0;
        }
    };
    struct Slot {
        bool enabled = false;
        uint32_t state = 0;
        unsigned port = 0;
        UsbDevice* device = nullptr;
        uint64_t context = 0;  // the output context
        uint32_t entries = 0;
        std::array<Endpoint, 32> endpoints;  // by device context index; 0 is unused
    };

    // How far a TD has come.
    enum class Progress : uint8_t { kComplete, kWaits, kBudget };

    // xhci.cpp: registers
    uint32_t read_capability(uint32_t offset) const;
    uint32_t read_extended(uint32_t offset) const;
    uint32_t read_operational(uint32_t offset) const;
    uint32_t read_register(uint32_t offset) const;
    void write_operational(uint32_t offset, uint32_t value);
    void write_command(uint32_t value);
    void write_interrupter(uint32_t offset, uint32_t value);
    void write_command_ring(uint32_t value);
    void ring_doorbell(uint32_t slot, uint32_t value);
    bool running() const { return (command_ & 1) != 0; }
    void host_error(const char* what);
    void post(unsigned interrupter, const usb::xhci::Trb& event, bool interrupts = true);
    bool backed_up() const;
    uint32_t frame_index() const;
    void defer();

    // xhci_ports.cpp
    uint32_t read_port(unsigned port, uint32_t offset) const;
    void write_port(unsigned port, uint32_t offset, uint32_t value);
    void write_port_status(Port& port, unsigned number, uint32_t value);
    void reset_port(Port& port, unsigned number, bool warm);
    void write_link(Port& port, unsigned number, uint32_t state);
    void set_connected(Port& port);
    void port_changed(unsigned number, uint32_t bits);
    void report_port(unsigned number);
    static bool is_usb3(unsigned port) { return port >= kUsb2Ports; }

    // xhci_commands.cpp
    void run_commands();
    void complete_command(uint64_t address, usb::xhci::Code code, unsigned slot);
    usb::xhci::Code execute(const usb::xhci::Trb& command, unsigned& slot);
    usb::xhci::Code enable_slot(unsigned& slot);
    usb::xhci::Code address_device(Slot& slot, unsigned number, uint64_t input, bool no_request);
    usb::xhci::Code send_address(UsbDevice& device, unsigned address);
    usb::xhci::Code configure_endpoints(Slot& slot, uint64_t input, bool deconfigure);
    usb::xhci::Code add_endpoint(Slot& slot, unsigned index, uint64_t input);
    void drop_endpoint(Slot& slot, unsigned index);
    usb::xhci::Code evaluate_context(Slot& slot, uint64_t input);
    usb::xhci::Code reset_device(Slot& slot);
    usb::xhci::Code port_bandwidth(uint64_t address);
    void disable_slot(Slot& slot);
    Slot* find_slot(unsigned number);

    // xhci_endpoints.cpp
    usb::xhci::Code endpoint_command(Slot& slot, unsigned number, const usb::xhci::Trb& command);
    usb::xhci::Code stop_endpoint(Slot& slot, unsigned number, unsigned index);
    void set_endpoint_state(Slot& slot, unsigned index, uint32_t state);
    uint64_t context_of(const Slot& slot, unsigned index) const {
        return slot.context + index * usb::xhci::kContextSize;
    }
    std::optional<usb::xhci::Context> load_context(uint64_t address) const;
    bool store_context(uint64_t address, const usb::xhci::Context& context);

    // xhci_transfers.cpp
    void run_all_endpoints();
    void run_endpoint(unsigned slot, unsigned index);
    XhciRing::Fetched fetch_td(Endpoint& endpoint);
    Progress run_td(Slot& slot, unsigned index, usb::xhci::Code& code);
    Progress move_data(Slot& slot, Endpoint& endpoint, uint8_t number, bool in,
                       usb::xhci::Code& code);
    bool scatter(const Endpoint& endpoint, std::span<const std::byte> from);
    bool gather(const Endpoint& endpoint, std::span<std::byte> to);
    template <typename Visit>
    bool for_each_piece(const Endpoint& endpoint, size_t size, Visit&& visit);
    static size_t end_of_td(const Endpoint& endpoint);
    void report_td(unsigned slot, unsigned index, usb::xhci::Code code);
    void report_part(unsigned slot, unsigned index, const Part& part, usb::xhci::Code code,
                     uint32_t left);

    const DmaView& dma_;
    const VmClock& clock_;
    LogLimit log_;

    uint32_t command_ = 0;  // USBCMD
    uint32_t status_ = 0;   // USBSTS, without what follows from other state
    uint32_t notification_control_ = 0;
    uint64_t context_array_ = 0;  // DCBAAP
    uint32_t configure_ = 0;
    XhciRing command_ring_;
    bool commands_running_ = false;
    std::array<Port, kPortCount> ports_;
    std::array<XhciInterrupter, kInterrupterCount> interrupters_;
    std::array<std::unique_ptr<Slot>, kSlots + 1> slots_;  // by number, from 1; null: not enabled

    unsigned budget_ = 0;             // left in this call
    bool commands_deferred_ = false;  // run() is to go on
    bool endpoints_deferred_ = false;
    uint64_t next_run_ns_ = ~uint64_t{0};
    std::vector<std::byte> bounce_;
};

}  // namespace mynah
