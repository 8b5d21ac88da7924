// Root hub ports [xHCI 1.1 4.19, 5.4.8].

#include "device/usb/xhci.h"
#include "device/usb/xhci_registers.h"

namespace mynah {

using namespace xhci_registers;
using namespace usb::xhci;

namespace {

// Protocol speed ids of the default table [xHCI 1.1 7.2.2.1.1].
uint32_t speed_id(UsbSpeed speed) {
    switch (speed) {
        case UsbSpeed::kFull:
            return 1;
        case UsbSpeed::kLow:
            return 2;
        case UsbSpeed::kHigh:
            return 3;
        case UsbSpeed::kSuper:
            break;
    }
    return 4;
}

}  // namespace

std::optional<UsbSpeed> Xhci::speed_for(unsigned port, const UsbDevice& device) const {
    if (is_usb3(port)) {
        return device.supports(UsbSpeed::kSuper) ? std::optional(UsbSpeed::kSuper) : std::nullopt;
    }
    for (UsbSpeed speed : {UsbSpeed::kHigh, UsbSpeed::kFull, UsbSpeed::kLow}) {
        if (device.supports(speed)) return speed;
    }
    return std::nullopt;
}

// What the port shows of the device that is in it, or of its absence. A USB 3 link trains by
// itself; a USB 2 port waits for a reset [xHCI 1.1 4.19.1].
void Xhci::set_connected(Port& port) {
    const auto number = static_cast<unsigned>(&port - ports_.data());
    port.status &= ~(kConnected | kPortEnabled | PortLink::kMask | PortSpeed::kMask);
    if (port.device == nullptr || (port.status & kPortPower) == 0) {
        port.status = PortLink::with(port.status, kLinkRxDetect);
        return;
    }
    const UsbSpeed speed = *speed_for(number, *port.device);
    port.device->connect(speed);
    port.status |= kConnected;
    port.status = PortSpeed::with(port.status, speed_id(speed));
    if (is_usb3(number)) {
        port.status = PortLink::with(port.status | kPortEnabled, kLinkU0);
    } else {
        port.status = PortLink::with(port.status, kLinkPolling);
    }
}

void Xhci::plug(unsigned number, UsbDevice& device) {
    Port& port = ports_[number];
    port.device = &device;
    set_connected(port);
    if ((port.status & kConnected) != 0) port_changed(number, kConnectChange);
}

void Xhci::unplug(unsigned number) {
    Port& port = ports_[number];
    for (auto& slot : slots_) {
        if (slot != nullptr && slot->device == port.device) slot->device = nullptr;
    }
    const bool was_connected = (port.status & kConnected) != 0;
    port.device = nullptr;
    set_connected(port);
    if (was_connected) port_changed(number, kConnectChange);
}

// Sets change bits and reports them if they are new.
void Xhci::port_changed(unsigned number, uint32_t bits) {
    Port& port = ports_[number];
    if ((port.status & bits) == bits) return;
    port.status |= bits;
    if (running()) report_port(number);
}

void Xhci::report_port(unsigned number) {
    status_ |= kPortChange;
    Trb event{};
    event.parameter = uint64_t{number + 1} << 24;
    event.status = EventCode::with(0, kSuccess);
    event.control = TrbType::with(0, kPortStatusChange);
    post(0, event);
}

uint32_t Xhci::read_port(unsigned port, uint32_t offset) const {
    switch (offset) {
        case kPortStatus:
            return ports_[port].status;
        case kPortPowerManagement:
            return ports_[port].power_management;
        case kPortHardwareLpm:
            return ports_[port].hardware_lpm;
        default:
            return 0;
    }
}

void Xhci::write_port(unsigned number, uint32_t offset, uint32_t value) {
    Port& port = ports_[number];
    switch (offset) {
        case kPortStatus:
            return write_port_status(port, number, value);
        case kPortPowerManagement:
            // USB 3: U1 and U2 timeouts, a forced acceptance; USB 2: test modes are not entered.
            port.power_management = value & (is_usb3(number) ? 0x1ffffu : 0x0001fff8u);
            return;
        case kPortHardwareLpm:
            if (!is_usb3(number)) port.hardware_lpm = value & 0x3fff;
            return;
        default:
            return;
    }
}

void Xhci::write_port_status(Port& port, unsigned number, uint32_t value) {
    constexpr uint32_t kKept = kWakeBits | kIndicator;
    port.status = (port.status & ~kKept) | (value & kKept);
    port.status &= ~(value & kPortChanges);
    if ((value & kPortPower) == 0) {
        if ((port.status & kPortPower) == 0) return;
        port.status &= ~kPortPower;
        if (port.device != nullptr) port.device->disconnect();
        set_connected(port);
        return;
    }
    if ((port.status & kPortPower) == 0) {
        port.status |= kPortPower;
        set_connected(port);
        if ((port.status & kConnected) != 0) port_changed(number, kConnectChange);
    }
    const bool warm = is_usb3(number) && (value & kWarmReset) != 0;
    if (warm || (value & kPortReset) != 0) return reset_port(port, number, warm);
    // Writing one to the enabled bit disables the port.
    if ((value & kPortEnabled) != 0 && (port.status & kPortEnabled) != 0) {
        port.status = PortLink::with(port.status & ~kPortEnabled, kLinkDisabled);
    }
    if ((value & kLinkWriteStrobe) != 0) write_link(port, number, PortLink::get(value));
}

void Xhci::reset_port(Port& port, unsigned number, bool warm) {
    if (port.device == nullptr || (port.status & kConnected) == 0) return;
    port.device->bus_reset();
    port.status = PortLink::with(port.status | kPortEnabled, kLinkU0);
    port_changed(number, kResetChange | (warm ? kWarmResetChange : 0));
}

void Xhci::write_link(Port& port, unsigned number, uint32_t state) {
    const uint32_t now = PortLink::get(port.status);
    if (is_usb3(number) && state == kLinkRxDetect && now == kLinkDisabled) {
        port.status = PortLink::with(port.status, kLinkRxDetect);
        set_connected(port);
        if ((port.status & kConnected) != 0) port_changed(number, kConnectChange);
        return;
    }
    if (is_usb3(number) && state == kLinkDisabled) {
        port.status = PortLink::with(port.status & ~kPortEnabled, kLinkDisabled);
        return;
    }
    if ((port.status & kPortEnabled) == 0) return;
    switch (state) {
        case kLinkU0:
            port.status = PortLink::with(port.status, kLinkU0);
            // The end of a resumption is a change; leaving U1 and U2 is not.
            if (now == kLinkU3 || now == kLinkResume) {
                port_changed(number, kLinkChange);
                run_all_endpoints();
            }
            return;
        case kLinkU3:
            port.status = PortLink::with(port.status, kLinkU3);
            return;
        case kLinkResume:
            if (!is_usb3(number) && now == kLinkU3) {
                port.status = PortLink::with(port.status, kLinkResume);
            }
            return;
        default:
            return;
    }
}

// A device that may wakes its suspended port [xHCI 1.1 4.15.2.3]; then its endpoint is served.
void Xhci::wake(UsbDevice& device, uint8_t endpoint) {
    budget_ = kBudget;
    for (unsigned number = 0; number < kPortCount; ++number) {
        Port& port = ports_[number];
        if (port.device != &device || PortLink::get(port.status) != kLinkU3) continue;
        if (!device.remote_wakeup_enabled()) return;
        port.status = PortLink::with(port.status, kLinkResume);
        port_changed(number, kLinkChange);
        return;
    }
    if (!running()) return;
    const unsigned index =
        2u * (endpoint & usb::kEndpointNumber) + ((endpoint & usb::kEndpointIn) != 0 ? 1 : 0);
    for (unsigned slot = 1; slot <= kSlots; ++slot) {
        if (slots_[slot] != nullptr && slots_[slot]->device == &device) run_endpoint(slot, index);
    }
}

}  // namespace mynah
