#pragma once

// The guest's driver of an xHCI controller, for tests: rings of sixteen TRBs, so that links and
// wrapping are seen all the time. [xHCI 1.1 4]

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "bus/io_handler.h"
#include "device/usb/usb_guest_test.h"
#include "device/usb/xhci_registers.h"
#include "memory/guest_memory.h"
#include "spec/usb/xhci.h"

namespace mynah::testing {

class XhciDriver {
  public:
    using Trb = usb::xhci::Trb;

    // Uses guest memory from `free` on.
    XhciDriver(IoHandler& registers, GuestMemory& memory, uint64_t free = 0x10000)
        : registers_(registers), memory_(memory), free_(free) {}

    uint32_t read(uint32_t offset) { return static_cast<uint32_t>(registers_.read(offset, 4)); }
    void write(uint32_t offset, uint32_t value) { registers_.write(offset, 4, value); }
    void write64(uint32_t offset, uint64_t value) {
        write(offset, static_cast<uint32_t>(value));
        write(offset + 4, static_cast<uint32_t>(value >> 32));
    }
    uint32_t operational(uint32_t offset) { return read(xhci_registers::kOperational + offset); }
    uint32_t port_status(unsigned port) {
        return read(xhci_registers::kPorts + port * xhci_registers::kPortStride);
    }
    void write_port(unsigned port, uint32_t value) {
        write(xhci_registers::kPorts + port * xhci_registers::kPortStride, value);
    }

    uint64_t take(uint64_t size, uint64_t alignment = 64);
    void start(unsigned segments = 1, unsigned segment_size = 16);
    // The next event of interrupter 0, which is then the controller's again.
    std::optional<Trb> next_event(bool acknowledge = true);
    void acknowledge_events();
    std::vector<Trb> events();

    // A ring of the driver with a link at its end.
    struct Ring {
        uint64_t base = 0;
        unsigned at = 0;
        bool cycle = true;
        static constexpr unsigned kSize = 16;
    };
    Ring make_ring();
    // The address of the TRB.
    uint64_t put(Ring& ring, Trb trb);

    struct CommandResult {
        uint8_t code = 0;
        uint8_t slot = 0;
    };
    CommandResult command(uint8_t type, uint64_t parameter = 0, uint8_t slot = 0,
                          uint8_t endpoint = 0, uint32_t flags = 0);
    Ring& command_ring() { return command_ring_; }

    // Resets the port if it needs it, enables a slot, gives the device an address.
    std::optional<uint8_t> address_device(unsigned port);
    struct EndpointRequest {
        uint8_t index, kind;
        uint16_t packet;
    };
    // For when things may fail at any moment: no expectations. Gives the device of the port an
    // address and both endpoints of a disk or the one of a pointer.
    void try_address(uint8_t slot, unsigned port);
    void try_transfer(uint8_t slot, uint8_t index, uint64_t buffer, uint32_t size);
    uint8_t configure_endpoints(uint8_t slot, const std::vector<EndpointRequest>& endpoints);
    // A command with an input context: what to drop and add, and the contexts.
    uint64_t input_context(uint32_t drop, uint32_t add);

    struct TransferResult {
        uint8_t code = 0;      // 0: no event
        uint32_t residue = 0;  // bytes not moved
        uint64_t trb = 0;      // where it ended
    };
    void doorbell(uint8_t slot, uint8_t index) {
        write(xhci_registers::kDoorbells + slot * 4, index);
    }
    TransferResult control(uint8_t slot, const usb::Setup& setup, uint64_t buffer);
    // One TD over a buffer, cut into TRBs of `cut` bytes.
    TransferResult transfer(uint8_t slot, uint8_t index, uint64_t buffer, uint32_t size,
                            uint32_t cut = 65536);
    TransferResult wait_transfer(uint8_t slot, uint8_t index);
    Ring& ring(uint8_t slot, uint8_t index) { return rings_[{slot, index}]; }
    uint64_t output_context(uint8_t slot) const { return outputs_.at(slot); }
    uint32_t endpoint_state(uint8_t slot, uint8_t index);
    // Gives up what is in the ring, as after a stall or a timeout.
    void recover(uint8_t slot, uint8_t index);

    GuestMemory& memory() { return memory_; }
    unsigned port_changes = 0;  // events seen while waiting for others

  private:
    IoHandler& registers_;
    GuestMemory& memory_;
    uint64_t free_;
    uint64_t context_array_ = 0;
    uint64_t scratch_input_ = 0;  // of try_address()
    Ring command_ring_;
    std::vector<std::pair<uint64_t, unsigned>> segments_;
    unsigned event_segment_ = 0, event_at_ = 0;
    bool event_cycle_ = true;
    std::map<std::pair<uint8_t, uint8_t>, Ring> rings_;
    std::map<uint8_t, uint64_t> outputs_;
};

// One device behind the driver.
class XhciPipes final : public UsbPipes {
  public:
    XhciPipes(XhciDriver& driver, uint8_t slot, uint32_t cut = 65536)
        : driver_(driver), slot_(slot), cut_(cut), buffer_(driver.take(1 << 20, 4096)) {}
    GuestReply control(const usb::Setup& setup, const Bytes& out = {}) override;
    GuestReply in(uint8_t endpoint, uint32_t size) override;
    GuestReply out(uint8_t endpoint, const Bytes& data) override;
    void open(const Bytes& configuration) override;
    void clear_halt(uint8_t endpoint) override;
    uint8_t slot() const { return slot_; }
    static uint8_t index_of(uint8_t endpoint) {
        return static_cast<uint8_t>(2 * (endpoint & 15) + (endpoint >> 7));
    }

  private:
    GuestReply reply(XhciDriver::TransferResult result, uint32_t size, bool in);

    XhciDriver& driver_;
    uint8_t slot_;
    uint32_t cut_;
    uint64_t buffer_;
};

}  // namespace mynah::testing
