#include "device/usb/ehci.h"

#include <algorithm>
#include <utility>

namespace mynah {

using namespace ehci;

Ehci::Ehci(const DmaView& dma, const VmClock& clock, std::span<Uhci* const, kCompanions> companions)
    : dma_(dma),
      clock_(clock),
      companions_{companions[0], companions[1], companions[2]},
      data_(kMaxBytes) {
    reset();
}

void Ehci::reset() {
    const uint64_t now = clock_.now_ns();
    command_ = 8u << 16;  // the interrupt threshold's default: eight microframes
    status_ = interrupt_enable_ = 0;
    periodic_base_ = async_address_ = 0;
    microframes_.set_running(false, now);
    microframes_.set(0, now);
    next_frame_ = 0;
    polling_.schedule(false, now);
    configured_ = false;
    for (unsigned port = 0; port < kPortCount; ++port) {
        const bool had = owns(port) && ports_[port].device != nullptr;
        if (had) take(port);
        ports_[port].status = kPortPower | kPortOwner;
        if (had) give(port);
    }
}

std::optional<UsbSpeed> Ehci::speed_for(unsigned, const UsbDevice& device) const {
    for (UsbSpeed speed : {UsbSpeed::kHigh, UsbSpeed::kFull, UsbSpeed::kLow}) {
        if (device.supports(speed)) return speed;
    }
    return std::nullopt;
}

// Only high speed is enabled by a reset; what else is there the driver sees by the port not being
// enabled, or for low speed by the state of the lines [EHCI 1.0 4.2.2].
void Ehci::set_connected(Port& port) {
    port.status &= ~(kConnected | kPortEnabled | kSuspend | kForceResume | kLineK | kLineJ);
    if (port.device == nullptr) return;
    const UsbSpeed speed = *speed_for(0, *port.device);
    port.device->connect(speed);
    port.status |= kConnected | (speed == UsbSpeed::kLow ? kLineK : kLineJ);
}

void Ehci::give(unsigned number) {
    Port& port = ports_[number];
    if (!owns(number)) {
        companions_[number / Uhci::kPortCount]->plug(number % Uhci::kPortCount, *port.device);
        return;
    }
    set_connected(port);
    port.status |= kConnectChange;
    status_ |= kPortChange;
}

void Ehci::take(unsigned number) {
    Port& port = ports_[number];
    if (!owns(number)) {
        companions_[number / Uhci::kPortCount]->unplug(number % Uhci::kPortCount);
        return;
    }
    UsbDevice* device = std::exchange(port.device, nullptr);
    const bool was_enabled = (port.status & kPortEnabled) != 0;
    set_connected(port);
    port.device = device;
    port.status |= kConnectChange | (was_enabled ? kEnableChange : 0);
    status_ |= kPortChange;
}

void Ehci::plug(unsigned number, UsbDevice& device) {
    ports_[number].device = &device;
    give(number);
}

void Ehci::unplug(unsigned number) {
    Port& port = ports_[number];
    take(number);
    port.device = nullptr;
    // A port that was handed over comes back when its device goes [EHCI 1.0 4.2.3].
    if (configured_) port.status &= ~kPortOwner;
}

void Ehci::wake(UsbDevice& device, uint8_t endpoint) {
    for (unsigned number = 0; number < kPortCount; ++number) {
        Port& port = ports_[number];
        if (port.device != &device) continue;
        if (!owns(number)) return companions_[number / Uhci::kPortCount]->wake(device, endpoint);
        if ((port.status & kSuspend) == 0) continue;
        if (!device.remote_wakeup_enabled()) return;
        port.status |= kForceResume;
        status_ |= kPortChange;
        return;
    }
    if (!polled()) return;
    polling_.active(clock_.now_ns());
    run();
}

uint32_t Ehci::read(uint32_t offset, unsigned size) {
    const uint32_t value = read_register(offset & ~3u) >> 8 * (offset & 3);
    return value & static_cast<uint32_t>(low_mask(8 * size));
}

uint32_t Ehci::read_register(uint32_t offset) const {
    switch (offset) {
        case kCapLength:
            return kOperational | kVersion << 16;
        case kHcsParams:
            return kPortCount | Uhci::kPortCount << 8 | kCompanions << 12;
        case kHccParams:
            return kLegacySupport << 8;
        default:
            break;
    }
    if (offset < kOperational) return 0;
    offset -= kOperational;
    if (offset >= kPorts && offset < kPorts + 4 * kPortCount) {
        return ports_[(offset - kPorts) / 4].status;
    }
    switch (offset) {
        case kUsbCommand:
            return command_;
        case kUsbStatus: {
            uint32_t value = status_;
            if (!running()) return value | kHalted;
            if ((command_ & kPeriodicEnable) != 0) value |= kPeriodicStatus;
            if ((command_ & kAsyncEnable) != 0) value |= kAsyncStatus;
            return value;
        }
        case kInterruptEnable:
            return interrupt_enable_;
        case kFrameIndex:
            return static_cast<uint32_t>(microframes_.index(clock_.now_ns()) & 0x3fff);
        case kPeriodicBase:
            return periodic_base_;
        case kAsyncAddress:
            return async_address_;
        case kConfigFlag:
            return configured_ ? 1 : 0;
        default:
            return 0;
    }
}

void Ehci::write(uint32_t offset, unsigned size, uint32_t value) {
    if (size != 4 || (offset & 3) != 0 || offset < kOperational) return;
    offset -= kOperational;
    const uint64_t now = clock_.now_ns();
    if (offset >= kPorts && offset < kPorts + 4 * kPortCount) {
        write_port((offset - kPorts) / 4, value);
    }
    switch (offset) {
        case kUsbCommand:
            return write_command(value);
        case kUsbStatus:
            status_ &= ~(value & kStatusClearable);
            break;
        case kInterruptEnable:
            interrupt_enable_ = value & kStatusClearable;
            break;
        case kFrameIndex:
            if (running()) return;
            microframes_.set(value & 0x3fff, now);
            next_frame_ = (value & 0x3fff) / 8;
            break;
        case kPeriodicBase:
            periodic_base_ = value & ~0xfffu;
            break;
        case kAsyncAddress:
            async_address_ = value & ~0x1fu;
            break;
        case kConfigFlag:
            write_config_flag((value & 1) != 0);
            break;
        default:
            break;
    }
    if (polled()) polling_.soon(now);
}

void Ehci::write_command(uint32_t value) {
    if ((value & kHostReset) != 0) return reset();
    const uint64_t now = clock_.now_ns();
    const bool was_running = running();
    command_ = value & kUsbCommandKept;
    microframes_.set_running(running(), now);
    if (running() && !was_running) next_frame_ = microframes_.index(now) / 8;
    // Nothing of the asynchronous list is kept between two looks at it, so what the driver has
    // taken off is free at once [EHCI 1.0 4.8.2].
    if ((value & kAsyncDoorbell) != 0 && running()) status_ |= kAsyncAdvance;
    if (polled())
        polling_.soon(now);
    else
        polling_.schedule(false, now);
}

void Ehci::write_config_flag(bool on) {
    if (on == configured_) return;
    configured_ = on;
    for (unsigned port = 0; port < kPortCount; ++port) {
        const bool had = ports_[port].device != nullptr;
        if (owns(port) == on) continue;
        if (had) take(port);
        ports_[port].status ^= kPortOwner;
        if (had) give(port);
    }
}

void Ehci::write_port(unsigned number, uint32_t value) {
    Port& port = ports_[number];
    const uint32_t before = port.status;
    constexpr uint32_t kKept = kIndicator | kWakeBits;
    port.status &= ~(value & kPortChanges);
    port.status = (port.status & ~kKept) | (value & kKept);
    // The owner may be changed only where the configure flag says that we are asked at all.
    if (configured_ && ((value ^ before) & kPortOwner) != 0) {
        const bool had = port.device != nullptr;
        if (had) take(number);
        port.status ^= kPortOwner;
        if (had) give(number);
        return;
    }
    if (!owns(number) || (port.status & kConnected) == 0) {
        port.status &= ~(kPortReset | kForceResume);
        return;
    }
    if ((value & kPortReset) != 0) {
        port.status |= kPortReset;
        port.status &= ~(kPortEnabled | kSuspend | kForceResume);
        return;
    }
    if ((before & kPortReset) != 0) {  // the driver ends the reset
        port.status &= ~kPortReset;
        port.device->bus_reset();
        if (port.device->speed() == UsbSpeed::kHigh) port.status |= kPortEnabled;
        return;
    }
    if ((value & kPortEnabled) == 0) port.status &= ~(kPortEnabled | kSuspend | kForceResume);
    if ((port.status & kPortEnabled) == 0) return;
    if ((value & kForceResume) != 0 && (before & kSuspend) != 0) port.status |= kForceResume;
    if ((value & kForceResume) == 0 && (before & kForceResume) != 0) {
        port.status &= ~(kForceResume | kSuspend);
        return;
    }
    if ((value & kSuspend) != 0) port.status |= kSuspend;
}

// Whether the schedules are worth a look.
bool Ehci::polled() const {
    if (!running() || (command_ & (kPeriodicEnable | kAsyncEnable)) == 0) return false;
    return std::any_of(ports_.begin(), ports_.end(),
                       [](const Port& port) { return (port.status & kPortEnabled) != 0; });
}

void Ehci::host_error(const char* what) {
    if (log_.allow()) log(LogLevel::kWarning, "EHCI: {} is not in memory", what);
    status_ |= kSystemError;
    command_ &= ~kRun;
    microframes_.set_running(false, clock_.now_ns());
}

void Ehci::run() {
    const uint64_t now = clock_.now_ns();
    if (polled()) {
        moved_ = false;
        const uint64_t current = microframes_.index(now) / 8;
        // The list has 1024 frames, however far the count has come.
        if (current / 1024 != next_frame_ / 1024) status_ |= kFrameRollover;
        if (current >= kMaxFrames) next_frame_ = std::max(next_frame_, current - kMaxFrames + 1);
        next_frame_ = std::min(next_frame_, current);
        for (uint64_t frame = next_frame_; frame <= current; ++frame) {
            if (running() && (command_ & kPeriodicEnable) != 0) run_periodic(frame);
        }
        next_frame_ = current;
        if (running() && (command_ & kAsyncEnable) != 0) run_async();
        if (moved_) polling_.active(now);
    }
    const uint64_t after = clock_.now_ns();
    polling_.schedule(polled(), after, after - now);
}

UsbHostChip::Signals Ehci::take_signals(bool) {
    return {(status_ & interrupt_enable_ & kStatusClearable) != 0, 0};
}

}  // namespace mynah
