#include "device/usb/xhci.h"

#include <algorithm>
#include <utility>

#include "device/usb/xhci_registers.h"

namespace mynah {

using namespace xhci_registers;
using namespace usb::xhci;

Xhci::Xhci(const DmaView& dma, const VmClock& clock) : dma_(dma), clock_(clock), bounce_(kBounce) {
    reset();
}

Xhci::~Xhci() = default;

void Xhci::reset() {
    command_ = 0;
    status_ = 0;
    notification_control_ = 0;
    context_array_ = 0;
    configure_ = 0;
    command_ring_ = {};
    commands_running_ = false;
    commands_deferred_ = endpoints_deferred_ = false;
    next_run_ns_ = ~uint64_t{0};
    for (auto& slot : slots_) slot.reset();
    for (XhciInterrupter& interrupter : interrupters_) interrupter.reset();
    for (Port& port : ports_) {
        port.status = kPortPower;
        port.power_management = port.hardware_lpm = 0;
        set_connected(port);
        if ((port.status & kConnected) != 0) port.status |= kConnectChange;
    }
}

uint32_t Xhci::read(uint32_t offset, unsigned size) {
    const uint32_t value = read_register(offset & ~3u) >> 8 * (offset & 3);
    return value & static_cast<uint32_t>(low_mask(8 * size));
}

uint32_t Xhci::read_register(uint32_t offset) const {
    if (offset < kOperational) return read_capability(offset);
    if (offset < kPorts) return read_operational(offset - kOperational);
    if (offset < kPorts + kPortCount * kPortStride) {
        return read_port((offset - kPorts) / kPortStride, (offset - kPorts) % kPortStride);
    }
    if (offset == kRuntime) return frame_index();
    if (offset >= kInterrupters &&
        offset < kInterrupters + kInterrupterCount * kInterrupterStride) {
        const uint32_t at = offset - kInterrupters;
        return interrupters_[at / kInterrupterStride].read(at % kInterrupterStride);
    }
    if (offset >= kExtended) return read_extended(offset - kExtended);
    return 0;
}

uint32_t Xhci::read_capability(uint32_t offset) const {
    switch (offset) {
        case kCapLength:
            return kOperational | kVersion << 16;
        case kHcsParams1:
            return kSlots | kInterrupterCount << 8 | kPortCount << 24;
        case kHcsParams2:
            return 0xf | kSegmentTableExponent << 4;  // IST: a frame; no scratchpad
        case kHccParams1:
            return kAddresses64 | kNoSecondaryStreams | (kExtended / 4) << 16;
        case kDoorbellOffset:
            return kDoorbells;
        case kRuntimeOffset:
            return kRuntime;
        default:
            return 0;
    }
}

// Two supported-protocol capabilities [xHCI 1.1 7.2].
uint32_t Xhci::read_extended(uint32_t offset) const {
    constexpr uint32_t kName = 0x20425355;  // "USB "
    constexpr std::array<uint32_t, 8> kWords{
        2u | 4u << 8 | 2u << 24,
        kName,
        1u | kUsb2Ports << 8,
        0,
        2u | 0u << 8 | 3u << 24,
        kName,
        (1u + kUsb2Ports) | kUsb3Ports << 8,
        0,
    };
    return offset / 4 < kWords.size() ? kWords[offset / 4] : 0;
}

uint32_t Xhci::read_operational(uint32_t offset) const {
    switch (offset) {
        case kUsbCommand:
            return command_;
        case kUsbStatus:
            return status_ | (running() ? 0 : kHalted);
        case kPageSizeRegister:
            return 1;
        case kNotificationControl:
            return notification_control_;
        case kCommandRing:  // the pointer reads as zero [5.4.5]
            return commands_running_ ? kCommandRunning : 0;
        case kContextArray:
            return static_cast<uint32_t>(context_array_);
        case kContextArray + 4:
            return static_cast<uint32_t>(context_array_ >> 32);
        case kConfigure:
            return configure_;
        default:
            return 0;
    }
}

uint32_t Xhci::frame_index() const {
    return running() ? static_cast<uint32_t>(clock_.now_ns() / 125'000) & 0x3fff : 0;
}

// Registers are written as doublewords; narrower writes are not defined [xHCI 1.1 5].
void Xhci::write(uint32_t offset, unsigned size, uint32_t value) {
    if (size != 4 || (offset & 3) != 0) return;
    budget_ = kBudget;
    if (offset >= kOperational && offset < kPorts) {
        write_operational(offset - kOperational, value);
    } else if (offset >= kPorts && offset < kPorts + kPortCount * kPortStride) {
        write_port((offset - kPorts) / kPortStride, (offset - kPorts) % kPortStride, value);
    } else if (offset >= kInterrupters &&
               offset < kInterrupters + kInterrupterCount * kInterrupterStride) {
        write_interrupter(offset - kInterrupters, value);
    } else if (offset >= kDoorbells && offset <= kDoorbells + kSlots * 4) {
        ring_doorbell((offset - kDoorbells) / 4, value);
    }
}

void Xhci::write_operational(uint32_t offset, uint32_t value) {
    switch (offset) {
        case kUsbCommand:
            return write_command(value);
        case kUsbStatus:
            status_ &= ~(value & kStatusClearable);
            return;
        case kNotificationControl:
            notification_control_ = value & 0xffff;
            return;
        case kCommandRing:
            return write_command_ring(value);
        case kCommandRing + 4:
            if (commands_running_) return;
            command_ring_.dequeue = (command_ring_.dequeue & 0xffffffff) | uint64_t{value} << 32;
            return;
        case kContextArray:
            context_array_ = (context_array_ & ~uint64_t{0xffffffff}) | (value & ~0x3fu);
            return;
        case kContextArray + 4:
            context_array_ = (context_array_ & 0xffffffff) | uint64_t{value} << 32;
            return;
        case kConfigure:
            configure_ = value & 0x3ff;
            return;
        default:
            return;
    }
}

void Xhci::write_command(uint32_t value) {
    if ((value & kHcReset) != 0) return reset();
    const bool was_running = running();
    command_ = value & kUsbCommandKept;
    if ((status_ & kHostSystemError) != 0) command_ &= ~kRun;
    // Nothing is kept over a power-down, and the driver is told so [5.4.2].
    if ((value & kRestoreState) != 0 && !running()) status_ |= kSaveRestoreError;
    if (was_running && !running()) commands_running_ = false;
    if (was_running || !running()) return;
    // What happened to the ports before.
    for (unsigned port = 0; port < kPortCount; ++port) {
        if ((ports_[port].status & kPortChanges) != 0) report_port(port);
    }
}

void Xhci::write_command_ring(uint32_t value) {
    if (commands_running_) {
        if ((value & (kCommandStop | kCommandAbort)) == 0) return;
        // Commands take no time, so there is none to be aborted.
        commands_running_ = false;
        commands_deferred_ = false;
        complete_command(command_ring_.dequeue, kCommandRingStopped, 0);
        return;
    }
    command_ring_.dequeue =
        (command_ring_.dequeue & ~uint64_t{0xffffffff}) | (value & kCommandRingPointer);
    command_ring_.cycle = (value & kRingCycle) != 0;
}

void Xhci::write_interrupter(uint32_t offset, uint32_t value) {
    XhciInterrupter& interrupter = interrupters_[offset / kInterrupterStride];
    const bool blocked = interrupter.backed_up();
    if (interrupter.write(offset % kInterrupterStride, value, dma_) !=
        XhciInterrupter::Outcome::kOk) {
        host_error("event ring");
    }
    if (!blocked || backed_up()) return;
    // What waited for room goes on.
    if (commands_running_) run_commands();
    run_all_endpoints();
}

void Xhci::ring_doorbell(uint32_t slot, uint32_t value) {
    if (!running()) return;
    if (slot == 0) {
        if ((value & 0xff) != 0) return;
        commands_running_ = true;
        return run_commands();
    }
    const uint32_t index = value & 0xff;
    if (slots_[slot] == nullptr || index == 0 || index > 31) return;
    Endpoint& endpoint = slots_[slot]->endpoints[index];
    if (endpoint.kind == 0) return;
    if (endpoint.state == kEndpointStopped) {
        set_endpoint_state(*slots_[slot], index, kEndpointRunning);
    }
    run_endpoint(slot, index);
}

// The driver gave an address that is no memory where the controller cannot do without
// [xHCI 1.1 4.10.2.6].
void Xhci::host_error(const char* what) {
    if (log_.allow()) log(LogLevel::kWarning, "xHCI: {} is not in memory", what);
    status_ |= kHostSystemError;
    command_ &= ~kRun;
    commands_running_ = false;
}

void Xhci::post(unsigned interrupter, const Trb& event, bool interrupts) {
    XhciInterrupter& to = interrupters_[interrupter < kInterrupterCount ? interrupter : 0];
    if (to.post(event, interrupts, dma_) != XhciInterrupter::Outcome::kOk) {
        host_error("event ring");
    }
}

bool Xhci::backed_up() const {
    return std::any_of(interrupters_.begin(), interrupters_.end(),
                       [](const XhciInterrupter& each) { return each.backed_up(); });
}

// The rest later, when others had their turn.
void Xhci::defer() {
    if (next_run_ns_ == ~uint64_t{0}) next_run_ns_ = clock_.now_ns() + kPauseNs;
}

void Xhci::run() {
    budget_ = kBudget;
    next_run_ns_ = ~uint64_t{0};
    if (!running()) return;
    if (std::exchange(commands_deferred_, false) && commands_running_) run_commands();
    if (!std::exchange(endpoints_deferred_, false)) return;
    for (unsigned slot = 1; slot <= kSlots; ++slot) {
        for (unsigned index = 1; index < 32; ++index) {
            if (slots_[slot] != nullptr && slots_[slot]->endpoints[index].deferred) {
                run_endpoint(slot, index);
            }
        }
    }
}

UsbHostChip::Signals Xhci::take_signals(bool msi) {
    Signals signals;
    for (unsigned i = 0; i < kInterrupterCount; ++i) {
        XhciInterrupter& interrupter = interrupters_[i];
        if (interrupter.take_raised()) status_ |= kEventInterrupt;
        if ((command_ & kInterruptEnable) == 0 || !interrupter.asserted()) continue;
        if (msi) {
            signals.vectors |= 1u << i;
            interrupter.sent();
        } else {
            signals.line = true;
        }
    }
    return signals;
}

}  // namespace mynah
