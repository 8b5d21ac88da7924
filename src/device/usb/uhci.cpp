#include "device/usb/uhci.h"

#include <algorithm>
#include <utility>

namespace mynah {

using namespace uhci;

Uhci::Uhci(const DmaView& dma, const VmClock& clock) : dma_(dma), clock_(clock) { reset(); }

void Uhci::reset() {
    command_ = status_ = interrupt_enable_ = 0;
    frame_list_ = 0;
    start_of_frame_ = 0x40;
    completed_ = short_packet_ = false;
    frames_.set_running(false, clock_.now_ns());
    frames_.set(0, clock_.now_ns());
    next_frame_ = 0;
    polling_.schedule(false, clock_.now_ns());
    for (Port& port : ports_) {
        port.status = 0;
        set_connected(port);
        if (port.device != nullptr) port.status |= kConnectChange;
    }
}

std::optional<UsbSpeed> Uhci::speed_for(unsigned, const UsbDevice& device) const {
    for (UsbSpeed speed : {UsbSpeed::kFull, UsbSpeed::kLow}) {
        if (device.supports(speed)) return speed;
    }
    return std::nullopt;
}

void Uhci::set_connected(Port& port) {
    port.status &= static_cast<uint16_t>(
        ~(kConnected | kPortEnabled | kLineDPlus | kLineDMinus | kLowSpeed | kPortSuspend));
    if (port.device == nullptr) return;
    const UsbSpeed speed = *speed_for(0, *port.device);
    port.device->connect(speed);
    port.status |= kConnected;
    port.status |= speed == UsbSpeed::kLow ? kLowSpeed | kLineDMinus : kLineDPlus;
}

void Uhci::plug(unsigned number, UsbDevice& device) {
    Port& port = ports_[number];
    port.device = &device;
    set_connected(port);
    port.status |= kConnectChange;
    if ((command_ & kGlobalSuspend) != 0) status_ |= kResumeDetect;
}

void Uhci::unplug(unsigned number) {
    Port& port = ports_[number];
    const bool was_enabled = (port.status & kPortEnabled) != 0;
    port.device = nullptr;
    set_connected(port);
    port.status |= kConnectChange;
    if (was_enabled) port.status |= kEnableChange;
    if ((command_ & kGlobalSuspend) != 0) status_ |= kResumeDetect;
}

bool Uhci::any_enabled() const {
    return std::any_of(ports_.begin(), ports_.end(),
                       [](const Port& port) { return (port.status & kPortEnabled) != 0; });
}

uint32_t Uhci::read(uint32_t offset, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        const uint32_t at = offset + i;
        value |= uint32_t{static_cast<uint8_t>(read16(at & ~1u) >> 8 * (at & 1))} << 8 * i;
    }
    return value;
}

uint16_t Uhci::read16(uint32_t offset) const {
    switch (offset) {
        case kUsbCommand:
            return command_;
        case kUsbStatus:
            return static_cast<uint16_t>(status_ | (running() ? 0 : kHalted));
        case kInterruptEnable:
            return interrupt_enable_;
        case kFrameNumber:
            return static_cast<uint16_t>(frames_.index(clock_.now_ns()) & 0x7ff);
        case kFrameListBase:
            return static_cast<uint16_t>(frame_list_);
        case kFrameListBase + 2:
            return static_cast<uint16_t>(frame_list_ >> 16);
        case kStartOfFrame:
            return start_of_frame_;
        case kPorts:
        case kPorts + 2:
            return ports_[(offset - kPorts) / 2].status | kPortAlwaysOne;
        default:
            // Software finds the number of ports by the bit that is always one [2.1.7].
            return 0;
    }
}

void Uhci::write(uint32_t offset, unsigned size, uint32_t value) {
    if (size == 1) {
        if (offset == kStartOfFrame) start_of_frame_ = value & 0x7f;
        return;  // the others are words
    }
    if ((offset & 1) != 0) return;
    write16(offset, static_cast<uint16_t>(value));
    if (size == 4) write16(offset + 2, static_cast<uint16_t>(value >> 16));
}

void Uhci::write16(uint32_t offset, uint16_t value) {
    switch (offset) {
        case kUsbCommand:
            return write_command(value);
        case kUsbStatus:
            status_ &= static_cast<uint16_t>(~(value & 0x1f));
            if ((value & kInterrupt) != 0) completed_ = short_packet_ = false;
            break;
        case kInterruptEnable:
            interrupt_enable_ = value & 0xf;
            break;
        case kFrameNumber:  // only while halted [2.1.4]
            if (running()) return;
            frames_.set(value & 0x7ff, clock_.now_ns());
            next_frame_ = value & 0x7ff;
            break;
        case kFrameListBase:
            frame_list_ = (frame_list_ & 0xffff0000) | (value & 0xf000u);
            break;
        case kFrameListBase + 2:
            frame_list_ = (frame_list_ & 0xffff) | uint32_t{value} << 16;
            break;
        case kStartOfFrame:
            start_of_frame_ = value & 0x7f;
            break;
        case kPorts:
        case kPorts + 2:
            write_port(ports_[(offset - kPorts) / 2], value);
            break;
        default:
            return;
    }
    if (running() && any_enabled()) polling_.soon(clock_.now_ns());
}

void Uhci::write_command(uint16_t value) {
    if ((value & kHostReset) != 0) return reset();
    if ((value & kGlobalReset) != 0 && (command_ & kGlobalReset) == 0) {
        reset();
        for (Port& port : ports_) {
            if (port.device != nullptr) port.device->bus_reset();
        }
    }
    command_ = value & 0xff;
    const uint64_t now = clock_.now_ns();
    frames_.set_running(running(), now);
    if (running()) {
        next_frame_ = frames_.index(now);
        if (any_enabled()) polling_.soon(now);
    } else {
        polling_.schedule(false, now);
    }
}

void Uhci::write_port(Port& port, uint16_t value) {
    const uint16_t before = port.status;
    port.status &= static_cast<uint16_t>(~(value & (kConnectChange | kEnableChange)));
    port.status = static_cast<uint16_t>((port.status & ~kPortKept) | (value & kPortKept));
    if (port.device == nullptr) {
        port.status &= static_cast<uint16_t>(~kPortEnabled);
        return;
    }
    if ((value & kPortReset) != 0) {
        port.status &= static_cast<uint16_t>(~(kPortEnabled | kPortSuspend));
        if ((before & kPortReset) == 0) port.device->bus_reset();
    }
    // Resume ends when software clears the bit, and with it the suspension.
    if ((before & kPortResume) != 0 && (value & kPortResume) == 0) {
        port.status &= static_cast<uint16_t>(~kPortSuspend);
    }
}

void Uhci::halt(uint16_t why, const char* what) {
    if (log_.allow()) log(LogLevel::kWarning, "UHCI: {}", what);
    status_ |= why;
    command_ &= static_cast<uint16_t>(~kRun);
    frames_.set_running(false, clock_.now_ns());
}

void Uhci::remote_wake(UsbDevice& device) {
    for (Port& port : ports_) {
        if (port.device != &device || (port.status & kPortSuspend) == 0) continue;
        if (!device.remote_wakeup_enabled()) return;
        port.status |= kPortResume;
        status_ |= kResumeDetect;
    }
    const bool asleep = (command_ & kGlobalSuspend) != 0;
    if (asleep && device.remote_wakeup_enabled()) status_ |= kResumeDetect;
}

void Uhci::wake(UsbDevice& device, uint8_t) {
    remote_wake(device);
    if (!running() || !any_enabled()) return;
    polling_.active(clock_.now_ns());
    run();
}

void Uhci::run() {
    const uint64_t now = clock_.now_ns();
    if (running() && any_enabled()) {
        const uint64_t current = frames_.index(now);
        // Frames that nobody looked at in time are caught up with, within reason: the transfers of
        // some lie in few of them. The current one is looked at again and again.
        if (current >= kMaxFrames) next_frame_ = std::max(next_frame_, current - kMaxFrames + 1);
        next_frame_ = std::min(next_frame_, current);
        for (uint64_t frame = next_frame_; frame <= current && running(); ++frame) {
            run_frame(frame);
        }
        next_frame_ = current;
    }
    const uint64_t after = clock_.now_ns();
    polling_.schedule(running() && any_enabled(), after, after - now);
}

UsbHostChip::Signals Uhci::take_signals(bool) {
    const bool interrupt =
        (completed_ && (interrupt_enable_ & kEnableCompletion) != 0) ||
        (short_packet_ && (interrupt_enable_ & kEnableShort) != 0) ||
        ((status_ & kErrorInterrupt) != 0 && (interrupt_enable_ & kEnableError) != 0) ||
        ((status_ & kResumeDetect) != 0 && (interrupt_enable_ & kEnableResume) != 0) ||
        (status_ & (kSystemError | kProcessError)) != 0;
    return {interrupt, 0};
}

}  // namespace mynah
